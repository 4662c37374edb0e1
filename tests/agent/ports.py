"""A port under test, with what a suite needs to look behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.ports import Files, Queue, Store, Topic


class Change(Protocol):
    def __call__(self, job_id: str, **values: object) -> None: ...


@dataclass(frozen=True)
class QueueUnderTest:
    """left: how many messages are neither deleted nor dead."""

    port: Queue
    send: Callable[[str], None]
    left: Callable[[], int]


@dataclass(frozen=True)
class StoreUnderTest:
    """change: what somebody else writes."""

    port: Store
    change: Change


@dataclass(frozen=True)
class TopicUnderTest:
    port: Topic
    arrived: Callable[[], list[tuple[str, dict[str, str]]]]


@dataclass(frozen=True)
class FilesUnderTest:
    """place: makes an object and returns its URL. stored: body and content type of a put key; metadata: the key's."""

    port: Files
    place: Callable[[str, bytes], str]
    stored: Callable[[str], tuple[bytes, str]]
    metadata: Callable[[str], dict[str, str]]
