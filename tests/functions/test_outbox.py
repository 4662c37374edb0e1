"""The outbox sweep: what it publishes, what it leaves, and how it ends what cannot be published."""

from typing import Any

import msgspec
import pytest

from functions.api.ports import UnavailableError
from sd_async.contract.records import OUTBOX_PENDING, Record, from_item
from sd_async.contract.states import Status
from tests.functions.entry import outbox
from tests.functions.fakes import NOW_MS, MemoryStore, PlentyOfTime, message_of, record_of

LATER_MS = NOW_MS + outbox.MIN_AGE_MS + 1


def pending(store: MemoryStore, number: int, **changes: Any) -> Record:
    """A record in the outbox, with its input."""
    record = record_of(f"00000000-0000-4000-8000-{number:012x}", outbox=OUTBOX_PENDING, **changes)
    store.hold([record])
    store.inputs[record.input_ref] = (message_of(record), "hash")
    return record


def sweep(store: MemoryStore, now_ms: int = LATER_MS, context: Any = None) -> None:
    outbox.Sweep(store, now_ms=lambda: now_ms)({}, context or PlentyOfTime())


def published_ids(store: MemoryStore) -> list[str]:
    return [msgspec.json.decode(body)["id"] for _, body in store.published]


def test_what_is_pending_is_published_oldest_first_and_once() -> None:
    store = MemoryStore()
    young, old = pending(store, 1, created_at_ms=NOW_MS), pending(store, 2, created_at_ms=NOW_MS - 5)

    sweep(store)
    sweep(store)

    assert published_ids(store) == [old.id, young.id]
    assert store.published[0][0] == "comfy"


def test_a_submit_that_is_under_way_publishes_for_itself() -> None:
    store = MemoryStore()
    pending(store, 1)

    sweep(store, now_ms=NOW_MS + outbox.MIN_AGE_MS)
    assert store.published == []
    sweep(store, now_ms=NOW_MS + outbox.MIN_AGE_MS + 1)
    assert len(store.published) == 1


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.QUEUED])
def test_a_job_that_already_left_its_queue_is_only_unmarked(status: Status) -> None:
    store = MemoryStore()
    record = pending(store, 1, status=status)

    sweep(store)

    assert store.published == []
    assert from_item(store.items[record.id]).outbox is None


def test_one_records_fault_is_no_other_records_and_the_run_ends_as_failed() -> None:
    store = Half()
    broken, whole = pending(store, 1, runtime="broken", created_at_ms=NOW_MS - 1), pending(store, 2)

    with pytest.raises(outbox.SweepError, match="1 of 2"):
        sweep(store)

    assert published_ids(store) == [whole.id]
    assert from_item(store.items[broken.id]).outbox == OUTBOX_PENDING


class Half(MemoryStore):
    """Fails for one runtime."""

    def publish(self, runtime: str, body: bytes) -> None:
        if runtime == "broken":
            raise UnavailableError("Publish: Throttling")
        super().publish(runtime, body)


@pytest.mark.parametrize("body", [None, b"{", b'{"sd_async": 2}'])
def test_a_job_whose_input_is_gone_or_no_message_is_failed_and_told(body: bytes | None) -> None:
    store = MemoryStore()
    record = pending(store, 1)
    del store.inputs[record.input_ref]
    if body is not None:
        store.inputs[record.input_ref] = (body, "hash")

    sweep(store)

    failed = from_item(store.items[record.id])
    assert (failed.status, failed.outbox) == (Status.FAILED, None)
    assert [result["job_id"] for result in store.results] == [record.id]
    assert store.published == []


def test_a_run_stops_while_there_is_time_to_stop() -> None:
    store = MemoryStore()
    for number in range(3):
        pending(store, number)

    class ShortOfTime:
        left = iter([outbox.SPARE_MS, outbox.SPARE_MS - 1])

        def get_remaining_time_in_millis(self) -> int:
            return next(self.left)

    sweep(store, context=ShortOfTime())

    assert len(store.published) == 1
