"""Polling: when it looks, what it reports, and how it ends."""

import httpx
import pytest

from sd_async.contract.jobs import Job
from sd_async.contract.states import Status
from sd_async.errors import ApiError, Unreachable, WaitTimeout
from sd_async.waiting import FIRST_PATIENCE_S, MAX_POLL_S, MIN_POLL_S, PATIENCE_S
from tests.client.fakes import JOB_ID, FakeApi, FakeTime, answer, client_of, failed, job, refused, running, succeeded


@pytest.mark.parametrize("ended", [succeeded(), failed(), job(Status.CANCELED)], ids=str)
def test_a_wait_ends_with_the_job_in_whichever_final_state(ended: Job) -> None:
    assert client_of(FakeApi(answer(job()), answer(ended))).wait(JOB_ID) == ended


def test_each_change_is_told_once_and_nothing_else() -> None:
    seen: list[Job] = []
    api = FakeApi(*(answer(each) for each in (job(), job(), running(0.1), running(0.4), running(0.4), succeeded())))
    client_of(api).wait(JOB_ID, on_change=seen.append)
    assert seen == [job(), running(0.1), running(0.4), succeeded()]


def test_a_quiet_job_is_asked_about_less_and_less_and_a_change_brings_the_pace_back() -> None:
    time = FakeTime()
    api = FakeApi(*[answer(job())] * 20, answer(running(0.1)), answer(running(0.2)), answer(succeeded()))
    client_of(api, time).wait(JOB_ID)
    assert time.slept_s[0] == MIN_POLL_S
    assert time.slept_s[18] == MAX_POLL_S
    assert time.slept_s[20] == MIN_POLL_S, "a job that moves is followed closely"


def test_an_answer_that_asks_for_a_longer_pause_gets_it() -> None:
    time = FakeTime()
    client_of(FakeApi(answer(job(), retry_after="9"), answer(succeeded())), time).wait(JOB_ID)
    assert time.slept_s == [9.0]


def test_the_deadline_is_kept_to_the_second_and_the_error_holds_the_job_as_last_seen() -> None:
    time = FakeTime()
    with pytest.raises(WaitTimeout, match=r"is still running after 12 s .* can be waited for again") as timeout:
        client_of(FakeApi(answer(running(0.5), retry_after="50")), time).wait(JOB_ID, timeout_s=12)
    assert sum(time.slept_s) == pytest.approx(12)
    assert timeout.value.job == running(0.5)


def test_a_job_that_ends_at_the_very_deadline_is_still_seen() -> None:
    time = FakeTime()
    api = FakeApi(lambda _: answer(succeeded() if time.now_s >= 1012 else job()))
    assert client_of(api, time).wait(JOB_ID, timeout_s=12).status is Status.SUCCEEDED


def test_no_time_at_all_still_looks_once() -> None:
    assert client_of(FakeApi(answer(succeeded()))).wait(JOB_ID, timeout_s=0).status is Status.SUCCEEDED
    with pytest.raises(WaitTimeout):
        client_of(FakeApi(answer(job()))).wait(JOB_ID, timeout_s=0)


def test_an_outage_in_the_middle_is_outlived() -> None:
    time = FakeTime()
    outage = [httpx.ConnectError("down")] * 12 + [httpx.Response(503, text="starting")] * 3
    assert client_of(FakeApi(answer(job()), *outage, answer(succeeded())), time).wait(JOB_ID) == succeeded()


@pytest.mark.parametrize(("first", "patience_s"), [([], FIRST_PATIENCE_S), ([answer(job())], PATIENCE_S)])
def test_an_outage_without_end_ends_the_wait(first: list[httpx.Response], patience_s: float) -> None:
    time = FakeTime()
    with pytest.raises(Unreachable):
        client_of(FakeApi(*first, httpx.ConnectError("down")), time).wait(JOB_ID)
    assert patience_s <= sum(time.slept_s) <= patience_s + 2 * MAX_POLL_S


def test_a_deadline_before_any_answer_says_that_there_was_none() -> None:
    with pytest.raises(Unreachable, match="within 2 s"):
        client_of(FakeApi(httpx.ConnectError("down"))).wait(JOB_ID, timeout_s=2)


def test_a_refusal_ends_the_wait_at_once() -> None:
    time = FakeTime()
    with pytest.raises(ApiError) as refusal:
        client_of(FakeApi(answer(job()), refused(404, "not_found")), time).wait(JOB_ID)
    assert refusal.value.status == 404
    assert len(time.slept_s) == 1
