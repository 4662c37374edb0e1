"""How a job fails, comes back or is refused, and messages that are none."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agent.errors import (
    AwsUnavailableError,
    InvalidWorkflowError,
    NodeFailedError,
    NoOutputsError,
    RuntimeLostError,
)
from agent.ports import Artifact
from sd_async.contract.messages import encode_message
from sd_async.contract.states import Status
from tests.agent.scenario import CONFIG, JOB_ID, Scenario, alpha_body, ended, in_loop, message_of

PNG = b"\x89PNG\r\n\x1a\n"
NODE_ERRORS: Mapping[str, Any] = {"3": {"errors": [{"type": "value_not_in_list"}], "class_type": "KSampler"}}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidWorkflowError("no", node_id="3", node_errors=dict(NODE_ERRORS)), "invalid_workflow"),
        (NodeFailedError("RuntimeError: shapes", node_id="3", class_type="KSampler"), "node_execution_error"),
        (NoOutputsError("The workflow ran and saved nothing."), "no_outputs"),
    ],
)
@in_loop
async def test_a_job_that_can_never_succeed_fails_with_the_runtimes_words(error: Exception, code: str) -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.faults.add("run", error)
    agent = scene.agent()
    await scene.clock.advance(11)
    job = scene.job()
    assert job.status is Status.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.message) == (code, str(error))
    assert job.error.node_errors == getattr(error, "node_errors", None)
    assert [result.error for result in scene.results()] == [job.error]
    assert len(scene.queue.deleted) == 1
    await ended([agent])


@in_loop
async def test_a_job_over_its_time_is_stopped_and_fails() -> None:
    scene = Scenario()
    await scene.submit(message_of(timeout_seconds=30))
    scene.backend.run_s = 500
    agent = scene.agent()
    await scene.clock.advance(31)
    assert scene.backend.stopped == [JOB_ID]
    assert scene.job().error is not None
    assert scene.job().error.code == "timeout"  # type: ignore[union-attr] # asserted above
    assert len(scene.queue.deleted) == 1
    await ended([agent])


@in_loop
async def test_throttling_gives_the_job_back_and_the_next_delivery_finishes_it() -> None:
    scene = Scenario()
    await scene.submit()
    scene.files.faults.add("put", AwsUnavailableError("AWS is busy or failing: SlowDown on PutObject."))
    agent = scene.agent()
    await scene.clock.advance(11)
    assert (scene.job().status, scene.job().waiting) == (
        Status.QUEUED,
        "AWS is busy or failing: SlowDown on PutObject.",
    )
    assert scene.queue.visible_in_s() == [pytest.approx(4, abs=1)]
    await scene.clock.advance(17)
    assert (scene.job().status, scene.job().attempt) == (Status.SUCCEEDED, 2)
    await ended([agent])


@in_loop
async def test_a_job_whose_attempts_are_used_up_fails_with_the_last_error() -> None:
    scene = Scenario(replace(CONFIG, max_attempts=2))
    await scene.submit()
    scene.files.faults.add("put", AwsUnavailableError("first"), AwsUnavailableError("SlowDown on PutObject."))
    agent = scene.agent()
    await scene.clock.advance(40)
    job = scene.job()
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "too_many_attempts"
    assert "SlowDown on PutObject." in job.error.message
    assert scene.queue.dead == [], "it is told, not left to the dead-letter queue"
    await ended([agent])


@in_loop
async def test_a_bug_is_given_back_like_any_passing_fault_and_keeps_its_words_from_the_client() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.faults.add("run", ZeroDivisionError("secret words"))
    agent = scene.agent()
    await scene.clock.advance(11)
    assert scene.job().status is Status.QUEUED
    assert "secret" not in scene.job().waiting
    await ended([agent])


@in_loop
async def test_a_lost_runtime_gives_the_job_back_at_once_and_nothing_is_taken_until_it_is_back() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 4
    scene.backend.faults.add("run", RuntimeLostError("The runtime does not answer."))
    agent = scene.agent()
    await scene.clock.advance(3)
    scene.backend.is_up = False
    await scene.clock.advance(2)
    assert scene.job().status is Status.QUEUED
    assert scene.queue.visible_in_s() == [0]
    await scene.clock.advance(60)
    assert len(scene.backend.started) == 1, "no attempt is wasted on a runtime that is down"
    scene.backend.is_up = True
    await scene.clock.advance(6)
    assert (scene.job().status, scene.job().attempt) == (Status.SUCCEEDED, 2)
    await ended([agent])


@in_loop
async def test_a_job_published_straight_to_the_topic_is_adopted() -> None:
    scene = Scenario()
    scene.queue.send(alpha_body(), JOB_ID.upper())
    agent = scene.agent()
    await scene.clock.advance(11)
    job = scene.job()
    assert (job.status, job.owner, job.form, job.client_id) == (Status.SUCCEEDED, "topic", "v1alpha2", "mine-7")
    assert job.outputs[0].key == f"renders/mine-7/{JOB_ID}/1/ComfyUI_00001_.png"
    [result] = scene.results()
    assert (result.id, result.job_id, result.context) == ("mine-7", JOB_ID, {"a": 1})
    await ended([agent])


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"prefix": "../other"}, "invalid_value"),
        ({"id": "a/b"}, "invalid_value"),
        ({"context": "x" * 9000}, "too_large"),
        ({"runtime": "another"}, "wrong_runtime"),
        ({"tasktype": "text-to-image"}, "wrong_runtime"),
    ],
)
@in_loop
async def test_an_adopted_job_that_breaks_the_contract_fails_and_is_announced(metadata: Any, code: str) -> None:
    scene = Scenario()
    scene.queue.send(alpha_body(**metadata), JOB_ID)
    agent = scene.agent()
    await scene.clock.advance(1)
    assert scene.job().error is not None
    assert scene.job().error.code == code  # type: ignore[union-attr] # asserted above
    assert ".." not in scene.job().output_key
    assert len(scene.results()) == 1
    assert scene.backend.started == []
    await ended([agent])


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[]",
        json.dumps({"hello": "world"}),
        json.dumps({"sd_async": 2}),
        encode_message(message_of("0" * 36)).decode(),
    ],
)
@in_loop
async def test_a_message_that_is_not_ours_goes_to_the_dead_letter_queue_and_blocks_nobody(body: str) -> None:
    scene = Scenario()
    scene.queue.send(body)
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(11)
    assert scene.job().status is Status.SUCCEEDED
    await scene.clock.advance(400)
    assert scene.queue.dead == [body]
    assert not agent.done()
    await ended([agent])


@in_loop
async def test_files_and_a_large_input_reach_the_runtime() -> None:
    scene = Scenario()
    whole = message_of(files={"a.png": "https://example.com/a.png?sig=1", "b.png": "s3://team/b.png"})
    await scene.submit(message_of(input=None, input_ref="s3://inputs/jobs/x/job.json"))
    scene.files.at = {"s3://inputs/jobs/x/job.json": encode_message(whole), "s3://team/b.png": PNG + b"B"}
    scene.web.at = {"https://example.com/a.png?sig=1": PNG + b"A"}
    agent = scene.agent()
    await scene.clock.advance(11)
    assert scene.job().status is Status.SUCCEEDED
    assert scene.backend.received == {"a.png": PNG + b"A", "b.png": PNG + b"B"}
    await ended([agent])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"files": {"a.png": "s3://team/missing.png"}}, "bad_file"),
        ({"files": {"a.png": "s3://elsewhere/a.png"}}, "file_bucket"),
        ({"files": {"a.png": "http://example.com/a.png"}}, "file_scheme"),
        ({"files": {"a.png": "s3://inputs/jobs/another/job.json"}}, "file_bucket"),
        ({"files": {"a.png": "S3://inputs/jobs/another/job.json"}}, "file_bucket"),
        ({"files": {"a.png": " https://example.com/a.png"}}, "invalid_value"),
        ({"input": None, "input_ref": "s3://elsewhere/job.json"}, "bad_file"),
        ({"input": {}}, "empty_workflow"),
        ({"runtime": "another"}, "wrong_runtime"),
        ({"type": "text-to-image"}, "wrong_runtime"),
    ],
)
@in_loop
async def test_a_job_that_asks_for_what_it_may_not_have_fails_without_a_run(changes: Any, code: str) -> None:
    scene = Scenario()
    await scene.submit(message_of(**changes))
    agent = scene.agent()
    await scene.clock.advance(1)
    assert scene.job().error is not None
    assert scene.job().error.code == code  # type: ignore[union-attr] # asserted above
    assert scene.backend.started == []
    await ended([agent])


@in_loop
async def test_everything_that_was_made_is_stored_under_its_own_name() -> None:
    scene = Scenario()
    scene.backend.made = (
        Artifact("a.mp4", "video", "video/mp4", "4", b"film"),
        Artifact("text_5.txt", "text", "text/plain; charset=utf-8", "5", b"words"),
    )
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(11)
    assert [(output.name, output.type, output.size_bytes) for output in scene.job().outputs] == [
        ("a.mp4", "video", 4),
        ("text_5.txt", "text", 5),
    ]
    await ended([agent])


@in_loop
async def test_a_job_that_makes_more_files_than_its_record_can_name_fails_once_and_says_so() -> None:
    scene = Scenario()
    scene.backend.made = [Artifact(f"{number:0>150}.png", "image", "image/png", "4", b"") for number in range(2000)]
    await scene.submit()
    agent = scene.agent()
    await scene.clock.advance(11)
    assert scene.job().error is not None
    assert scene.job().error.code == "too_many_outputs"  # type: ignore[union-attr] # asserted above
    assert "2000" in scene.job().error.message  # type: ignore[union-attr]
    assert (scene.files.stored, len(scene.backend.started)) == ({}, 1)
    await ended([agent])


@in_loop
async def test_a_settling_that_was_begun_is_brought_to_its_end_though_the_worker_is_canceled() -> None:
    scene = Scenario()
    await scene.submit()
    scene.backend.run_s = 0
    agent = scene.agent()
    while scene.job().status is not Status.SUCCEEDED:
        await asyncio.sleep(0)
        await scene.clock.advance(0) if scene.backend.started else None
    agent.cancel()
    await asyncio.wait([agent])
    assert [result.status for result in scene.results()] == [Status.SUCCEEDED]
    assert len(scene.queue.deleted) == 1
