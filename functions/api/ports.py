"""What the functions ask of AWS, and how that fails.

StoreError              the call was refused and would be refused again: ours to repair
└── UnavailableError   throttled, timed out or down: worth asking again
"""

from collections.abc import Mapping
from typing import Protocol

from sd_async.contract.agents import AgentNote
from sd_async.contract.jobs import JobError
from sd_async.contract.records import Record


class StoreError(Exception):
    """A call to AWS failed."""


class UnavailableError(StoreError):
    """It may succeed if asked again."""


class Store(Protocol):
    """Records, inputs, messages and URLs. Every method may raise StoreError or UnavailableError."""

    def get(self, job_id: str) -> Record | None:
        """The record as last written (a consistent read)."""

    def agents(self, runtime: str) -> Mapping[str, AgentNote]:
        """What agents of a runtime told last, over or not, by agent; may lag behind by a second."""

    def add(self, record: Record) -> bool:
        """False, and nothing written, when the id is taken."""

    def put_input(self, input_ref: str, body: bytes, body_hash: str) -> str:
        """Hash stored at `s3://bucket/key`: ours, or that of what already lies there, which stays as it is."""

    def get_input(self, input_ref: str) -> bytes | None:
        """What `put_input` wrote."""

    def publish(self, runtime: str, body: bytes) -> None:
        """A job's message to the jobs topic, with the attribute that its queue filters on."""

    def mark_published(self, job_id: str) -> None:
        """Takes the record out of the outbox; an absent record stays absent."""

    def pending(self, before_ms: int, limit: int) -> list[Record]:
        """Recorded before that time and not marked published, oldest first; may lag behind by seconds."""

    def fail(self, job_id: str, error: JobError, now_ms: int) -> Record | None:
        """The record, now failed; None, and nothing written, when it is absent, final, or under a live lease."""

    def publish_result(self, record: Record) -> None:
        """A final record's message to the results topic."""

    def url_for(self, key: str) -> str:
        """Presigned GET of a key in the output bucket."""
