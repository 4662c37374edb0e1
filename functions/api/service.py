"""What the API decides, without HTTP and without AWS."""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from functions import log
from functions.api import reasons
from functions.api.drafts import Draft, v1_draft, v1alpha1_draft, v1alpha2_draft
from functions.api.env import Env
from functions.api.ports import Store, StoreError
from functions.api.publish import publish_pending
from functions.api.views import job_view
from sd_async.contract.adoption import is_job_id
from sd_async.contract.checks import output_key
from sd_async.contract.codec import decode
from sd_async.contract.errors import ContractError
from sd_async.contract.forms import V1Alpha1Answer, V1Alpha2Answer
from sd_async.contract.jobs import Job
from sd_async.contract.limits import MAX_IDEMPOTENCY_KEY_CHARS
from sd_async.contract.messages import JobMessage, encode_for_topic, encode_message
from sd_async.contract.records import OUTBOX_PENDING, Record, context_text
from sd_async.contract.states import Status

# Jobs with an idempotency key get their id from owner and key in this namespace: the key needs no table of its own.
KEYED_JOBS = uuid.UUID("5a3c1a0e-8b0e-4f0e-9a51-3a54c5f7d0c2")


@dataclass(frozen=True, slots=True)
class Call:
    """One request. owner: whose jobs it may make and see. params: the path's. trace: the caller's, passed on."""

    owner: str
    body: bytes = b""
    params: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a route answers. is_accepted: the job waits; otherwise the answer is all there is to say."""

    value: msgspec.Struct
    job_id: str
    is_accepted: bool = False


class Service:
    """The routes' functions. Raises: ContractError for what the caller must change, StoreError for what we must."""

    def __init__(self, store: Store, env: Env, *, now_ms: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._store = store
        self._env = env
        self._now_ms = now_ms
        self._new_id = new_id

    def submit_job(self, call: Call) -> Reply:
        draft = v1_draft(decode(call.body, dict[str, Any]), self._env)
        record, is_new = self._submit(call, draft)
        return Reply(self._view(record), record.id, is_accepted=is_new)

    def get_job(self, call: Call) -> Reply:
        job_id = call.params.get("id", "")
        # What is no id of ours is no key to look up; somebody else's job is not told from none at all.
        record = self._store.get(job_id) if is_job_id(job_id) else None
        if record is None or record.owner != call.owner:
            raise ContractError("not_found", "There is no such job, or it is not yours.")
        return Reply(self._view(record), record.id)

    def submit_v1alpha2(self, call: Call) -> Reply:
        draft = v1alpha2_draft(decode(call.body, dict[str, Any]), self._env)
        record, _ = self._submit(call, draft)
        answer = V1Alpha2Answer(
            id=record.client_id or record.id,
            runtime=record.runtime,
            output_location=self._location(record),
            job_id=record.id,
        )
        return Reply(answer, record.id)

    def submit_v1alpha1(self, call: Call) -> Reply:
        draft = v1alpha1_draft(decode(call.body, dict[str, Any]), self._env)
        record, _ = self._submit(call, draft)
        answer = V1Alpha1Answer(
            id_task=record.client_id or record.id,
            sd_model_checkpoint=record.runtime,
            output_location=self._location(record),
            job_id=record.id,
        )
        return Reply(answer, record.id)

    def _submit(self, call: Call, draft: Draft) -> tuple[Record, bool]:
        """The job's record, and whether this call made it: input, record, message, in this order.

        Nothing is written before all is checked, and once the record is written the job is accepted: what
        fails after that is repaired by the outbox sweep.
        """
        body_hash = _hash_of(draft)
        job_id = self._new_id() if call.idempotency_key is None else keyed_id(call.owner, call.idempotency_key)
        is_keyed = call.idempotency_key is not None
        if is_keyed and (first := self._store.get(job_id)):
            return self._repeated(first, body_hash), False
        message, record = self._documents(call, draft, job_id, body_hash)
        body = encode_for_topic(message, record.input_ref)
        if self._store.put_input(record.input_ref, encode_message(message), body_hash) != body_hash:
            raise _conflict()
        if not self._store.add(record):
            # Without a key the id is ours alone: it is our own write, answered too late and tried again.
            return self._repeated(self._existing(job_id), body_hash), not is_keyed
        self._announce(record, body)
        return record, True

    def _documents(self, call: Call, draft: Draft, job_id: str, body_hash: str) -> tuple[JobMessage, Record]:
        now_ms = self._now_ms()
        folder = output_key(draft.prefix, draft.client_id or job_id)
        message = JobMessage(
            sd_async=1,
            id=job_id,
            owner=call.owner,
            runtime=draft.runtime,
            type=draft.type,
            created_at_ms=now_ms,
            timeout_seconds=draft.timeout_s,
            output_key=folder,
            input=draft.input,
            files=draft.files,
            output=draft.output,
            context=draft.context,
            form=draft.form,
            client_id=draft.client_id,
            trace=call.trace,
        )
        record = Record(
            id=job_id,
            owner=call.owner,
            runtime=draft.runtime,
            type=draft.type,
            status=Status.QUEUED,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            expires_at_s=now_ms // 1000 + self._env.retention_s,
            timeout_seconds=draft.timeout_s,
            output_key=folder,
            input_ref=f"s3://{self._env.input_bucket}/jobs/{job_id}/job.json",
            body_hash=body_hash,
            form=draft.form,
            client_id=draft.client_id,
            context_json=context_text(draft.context),
            trace=call.trace,
            outbox=OUTBOX_PENDING,
        )
        return message, record

    def _announce(self, record: Record, body: bytes) -> None:
        try:
            self._store.publish(record.runtime, body)
            self._store.mark_published(record.id)
        except StoreError as error:
            log.line("publish_deferred", "WARNING", job_id=record.id, error=str(error))

    def _repeated(self, record: Record, body_hash: str) -> Record:
        if record.body_hash != body_hash:
            raise _conflict()
        if record.outbox is not None:
            try:
                publish_pending(self._store, record)
            except (StoreError, ContractError) as error:
                log.line("publish_deferred", "WARNING", job_id=record.id, error=str(error))
        return record

    def _existing(self, job_id: str) -> Record:
        if record := self._store.get(job_id):
            return record
        raise StoreError("The record was there and is gone.")

    def _view(self, record: Record) -> Job:
        expire_at_ms = self._now_ms() + self._env.url_s * 1000
        return job_view(record, self._env.output_bucket, self._store.url_for, expire_at_ms, self._waiting(record))

    def _waiting(self, record: Record) -> str | None:
        if reasons.is_untaken(record):
            try:
                return reasons.of_agents(self._store.agents(record.runtime), self._now_ms())
            except StoreError as error:  # the job is there to be shown all the same
                log.line("agents_unknown", "WARNING", job_id=record.id, error=str(error))
        return reasons.of_record(record)

    def _location(self, record: Record) -> str:
        return f"s3://{self._env.output_bucket}/{record.output_key}"


def keyed_id(owner: str, idempotency_key: str) -> str:
    """Id of the job that this owner's key names. Raises: ContractError."""
    if not 0 < len(idempotency_key) <= MAX_IDEMPOTENCY_KEY_CHARS or not idempotency_key.isprintable():
        raise ContractError(
            "invalid_value", f"A key is 1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable characters.", "Idempotency-Key"
        )
    return str(uuid.uuid5(KEYED_JOBS, f"{owner}\n{idempotency_key}"))


def _hash_of(draft: Draft) -> str:
    """Of what was asked for, not of its bytes: a client may order a repeat's fields another way."""
    try:
        document = msgspec.json.encode([draft.form, draft.document], order="sorted")
    except RecursionError as error:  # reading it needed a level or two less than writing it again
        raise ContractError("invalid_json", "The body is nested too deeply.") from error
    return hashlib.sha256(document).hexdigest()


def _conflict() -> ContractError:
    return ContractError(
        "idempotency_conflict",
        "This key was used with another body; send the first body again, or a new key.",
        "Idempotency-Key",
    )
