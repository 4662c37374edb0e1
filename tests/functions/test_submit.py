"""`POST /v1/jobs`: what is written, in which order, and what the caller reads."""



from sd_async.contract.messages import decode_message
from sd_async.contract.records import from_item
from tests.functions.conftest import Caller
from tests.functions.fakes import WORKFLOW

JOB = {"runtime": "comfy", "input": WORKFLOW, "context": {"order": [1, 2.5, None]}, "output_prefix": "/shop/1/"}
FIRST = "00000000-0000-4000-8000-000000000001"


def test_a_good_job_is_recorded_then_published_then_accepted(caller: Caller) -> None:
    answer = caller.post(JOB)

    assert answer.status == 202
    assert answer.body["id"] == FIRST
    assert answer.body["status"] == "queued"
    assert answer.body["output_location"] == f"s3://output/shop/1/{FIRST}"
    assert answer.body["urls"] == {"self": f"/v1/jobs/{FIRST}"}
    [(runtime, body)] = caller.store.published
    assert runtime == "comfy"
    message = decode_message(body)
    whole = decode_message(caller.store.inputs[f"s3://input/jobs/{FIRST}/job.json"][0])
    assert message == whole
    record = from_item(caller.store.items[FIRST])
    assert record.owner == "key-a"
    assert record.outbox is None


def test_the_context_comes_back_as_it_was_sent(caller: Caller) -> None:
    caller.post(JOB)

    assert caller.get(FIRST).body["context"] == JOB["context"]
