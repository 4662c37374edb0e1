"""Publishing what is recorded and still in the outbox; a repeated request and the sweep do the same."""

from functions.api.ports import Store
from sd_async.contract.codec import decode
from sd_async.contract.errors import ContractError
from sd_async.contract.messages import JobMessage, encode_for_topic
from sd_async.contract.records import Record
from sd_async.contract.states import Status


def publish_pending(store: Store, record: Record) -> None:
    """Once more may be once too often: an agent drops the second message of a claimed job.

    Raises: StoreError; ContractError when the input is gone or no message, which no repeat repairs.
    """
    if record.status is Status.QUEUED:
        body = store.get_input(record.input_ref)
        if body is None:
            raise ContractError("input_missing", f"The job's input at {record.input_ref} is gone.")
        store.publish(record.runtime, encode_for_topic(decode(body, JobMessage), record.input_ref))
    store.mark_published(record.id)
