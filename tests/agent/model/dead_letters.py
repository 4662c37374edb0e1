"""The real dead-letter handler, over the model's table and topic."""

from typing import TYPE_CHECKING, Any, cast

from sd_async.contract.jobs import JobError
from sd_async.contract.records import Record
from sd_async.contract.results import encode_result, result_of
from sd_async.contract.states import FINAL, Status
from tests.agent.model.wire import at_once
from tests.functions.entry import dead_letter
from tests.functions.fakes import ENV

if TYPE_CHECKING:
    from tests.agent.model.world import World


class _Store:
    def __init__(self, world: "World") -> None:
        self._world = world

    def get(self, job_id: str) -> Record | None:
        return self._world.store.records.get(job_id)

    def fail(self, job_id: str, error: JobError, now_ms: int) -> Record | None:
        record = self._world.store.records[job_id]
        if record.status in FINAL or (record.lease_until_ms or 0) >= now_ms:
            return None
        changes = {"status": Status.FAILED, "error": error, "completed_at_ms": now_ms, "lease_until_ms": None}
        self._world.store.change(job_id, **changes)
        return self._world.store.records[job_id]

    def publish_result(self, record: Record) -> None:
        at_once(self._world.topic.publish(encode_result(result_of(record, "outputs")), {}))


def bury_letters(world: "World") -> None:
    """What is there is handled; what it reports as failed stays."""
    letters: list[Any] = world.queue.dead_letters
    if not letters:
        return
    handle = dead_letter.DeadLetters(cast("Any", _Store(world)), ENV, now_ms=world.clock.now_ms)
    records = [
        {"messageId": letter.message_id, "body": letter.body, "attributes": {"SentTimestamp": str(letter.sent_at_ms)}}
        for letter in letters
    ]
    failed = {failure["itemIdentifier"] for failure in handle({"Records": records})["batchItemFailures"]}
    world.queue.dead_letters = [letter for letter in letters if letter.message_id in failed]
