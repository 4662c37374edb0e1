"""What the client sends, how it reads answers, and when it tries again."""

import json

import httpx
import pytest

from sd_async.client import Client
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import JobRequest
from sd_async.contract.limits import MAX_BODY_BYTES
from sd_async.contract.states import Status
from sd_async.errors import ApiError, SdAsyncError, Unreachable, UsageError
from sd_async.waiting import ATTEMPTS, MAX_RETRY_AFTER_S
from tests.client.fakes import ENDPOINT, JOB_ID, KEY, FakeApi, FakeTime, answer, client_of, job, refused

REQUEST = JobRequest(runtime="comfyui", input={"1": {"class_type": "A", "inputs": {}}})


def subclasses(of: type[Exception]) -> list[type[Exception]]:
    return [of, *(leaf for child in of.__subclasses__() for leaf in subclasses(child))]


def test_a_submitted_job_goes_to_the_stage_with_key_body_and_idempotency_key() -> None:
    api = FakeApi(answer(job(), 202))
    submitted = client_of(api).submit(REQUEST, "mine-1")
    (request,) = api.requests
    assert (request.method, str(request.url)) == ("POST", f"{ENDPOINT}/v1/jobs")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["idempotency-key"] == "mine-1"
    assert json.loads(request.content)["input"] == REQUEST.input
    assert submitted.id == JOB_ID


def test_a_request_lost_on_its_way_is_repeated_with_the_same_key_so_that_no_second_job_is_made() -> None:
    api = FakeApi(httpx.ReadTimeout("slow"), httpx.ConnectError("refused"), answer(job(), 202))
    client_of(api).submit(REQUEST)
    keys = {request.headers["idempotency-key"] for request in api.requests}
    assert len(api.requests) == 3
    assert len(keys) == 1, "another key would make another job"


def test_two_jobs_without_a_key_of_their_own_get_two_keys() -> None:
    api = FakeApi(answer(job(), 202))
    client = client_of(api)
    client.submit(REQUEST)
    client.submit(REQUEST)
    assert len({request.headers["idempotency-key"] for request in api.requests}) == 2


def test_a_repeated_request_gives_up_after_a_few_tries_and_seconds() -> None:
    api, time = FakeApi(httpx.ConnectError("refused")), FakeTime()
    with pytest.raises(Unreachable, match=r"https://api\.example\.com cannot be reached \(refused\)"):
        client_of(api, time).get(JOB_ID)
    assert len(api.requests) == ATTEMPTS
    assert sum(time.slept_s) == pytest.approx(3.5)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_answer_that_says_not_now_is_waited_for_as_long_as_it_asks(status: int) -> None:
    busy = httpx.Response(status, headers={"retry-after": "7"}, text="busy")
    api, time = FakeApi(busy, answer(job())), FakeTime()
    client_of(api, time).get(JOB_ID)
    assert time.slept_s == [7.0]


def test_a_retry_after_that_is_a_date_in_the_past_costs_no_more_than_the_usual_pause() -> None:
    busy = httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, text="busy")
    api, time = FakeApi(busy, answer(job())), FakeTime()
    client_of(api, time).get(JOB_ID)
    assert time.slept_s == [0.5]


def test_nobody_is_kept_waiting_for_longer_than_a_minute_inside_one_call() -> None:
    busy = httpx.Response(429, headers={"retry-after": str(int(MAX_RETRY_AFTER_S) + 1)}, text="busy")
    api, time = FakeApi(busy), FakeTime()
    with pytest.raises(ApiError) as refusal:
        client_of(api, time).get(JOB_ID)
    assert refusal.value.retry_after_s == MAX_RETRY_AFTER_S + 1
    assert time.slept_s == []


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422, 500])
def test_a_refusal_is_final_and_carries_the_parts_of_the_error_shape(status: int) -> None:
    api = FakeApi(refused(status, "some_code", "Because.", field="files.pose"))
    with pytest.raises(ApiError, match=r"files\.pose: Because\.") as refusal:
        client_of(api).submit(REQUEST)
    error = refusal.value
    assert (error.status, error.code, error.field, error.request_id) == (status, "some_code", "files.pose", "req-1")
    assert len(api.requests) == 1, "asking again cannot change the answer"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (httpx.Response(403, json={"message": "Forbidden"}), "check the API key"),
        (httpx.Response(403, json={"message": "Missing Authentication Token"}), "stage"),
        (httpx.Response(404, text="<html>nginx</html>"), "check the endpoint"),
        (httpx.Response(301, headers={"location": "https://elsewhere/?token=1"}), "points to https://elsewhere/;"),
        (httpx.Response(500, content=b"\xff\xfe"), "gateway or proxy"),
        (httpx.Response(599, text=""), "answered 599"),
    ],
)
def test_a_gateway_that_answers_in_its_own_words_becomes_an_api_error_that_says_what_to_check(
    given: httpx.Response, says: str
) -> None:
    given.headers["x-amzn-requestid"] = "gw-7"
    with pytest.raises(ApiError) as refusal:
        client_of(FakeApi(given)).get(JOB_ID)
    assert says in refusal.value.message
    assert refusal.value.code == f"http_{given.status_code}"
    assert refusal.value.request_id == "gw-7"


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"id": 7}', b"\xff"])
def test_a_success_that_is_not_a_job_is_an_api_error_and_no_decoding_error(content: bytes) -> None:
    with pytest.raises(ApiError, match="check that the endpoint is the API's address") as refusal:
        client_of(FakeApi(httpx.Response(200, content=content))).get(JOB_ID)
    assert refusal.value.code == "unreadable_answer"


def test_fields_that_a_newer_api_adds_are_no_error() -> None:
    document = {**json.loads(answer(job()).content), "cost_usd": 0.01}
    assert client_of(FakeApi(httpx.Response(200, json=document))).get(JOB_ID).status is Status.QUEUED


@pytest.mark.parametrize("kind", subclasses(httpx.RequestError))
def test_every_failure_of_httpx_leaves_as_unreachable(kind: type[Exception]) -> None:
    with pytest.raises(Unreachable) as failure:
        client_of(FakeApi(kind("what happened"))).get(JOB_ID)
    assert isinstance(failure.value.__cause__, kind)


@pytest.mark.parametrize(
    "endpoint", ["", "api.example.com", "ftp://host", "https://", "https://h:99999", "https://[::"]
)
def test_an_endpoint_that_is_no_address_is_refused_before_anything_is_sent(endpoint: str) -> None:
    with pytest.raises(UsageError, match="https://host/stage"):
        Client(endpoint, KEY)


@pytest.mark.parametrize("endpoint", ["https://me:hunter2@host", "https://host/?key=hunter2", "https://host/#hunter2"])
def test_an_endpoint_with_more_than_an_address_is_refused_without_repeating_it(endpoint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Client(endpoint, KEY)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("key", ["", "  ", "a b", "a\nb", "schlüssel"])
def test_a_key_that_no_header_carries_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Client(ENDPOINT, key)
    assert key.strip() == "" or key not in str(refusal.value)


def test_white_space_around_a_pasted_key_and_a_closing_slash_do_no_harm() -> None:
    api = FakeApi(answer(job()))
    with Client(f" {ENDPOINT}/ ", f"{KEY}\n", transport=api) as client:
        client.get(JOB_ID)
    assert api.requests[0].headers["x-api-key"] == KEY
    assert str(api.requests[0].url) == f"{ENDPOINT}/v1/jobs/{JOB_ID}"


@pytest.mark.parametrize("job_id", ["", ".", "..", "a/b", "a?b", "x" * 129, "é"])
def test_an_id_that_would_change_the_path_is_refused(job_id: str) -> None:
    api = FakeApi(answer(job()))
    with pytest.raises(UsageError, match="no job id"):
        client_of(api).get(job_id)
    assert api.requests == []


@pytest.mark.parametrize(("key", "is_fine"), [("x" * 255, True), ("x" * 256, False), ("", False), ("a b", False)])
def test_an_idempotency_key_has_1_to_255_visible_characters(key: str, *, is_fine: bool) -> None:
    client = client_of(FakeApi(answer(job(), 202)))
    if is_fine:
        client.submit(REQUEST, key)
    else:
        with pytest.raises(UsageError, match="1 to 255"):
            client.submit(REQUEST, key)


def test_a_body_over_the_limit_is_refused_here_since_a_gateway_would_cut_the_line() -> None:
    api = FakeApi(answer(job(), 202))
    with pytest.raises(ContractError) as refusal:
        client_of(api).submit(JobRequest(runtime="comfyui", input={"a": "x" * MAX_BODY_BYTES}))
    assert refusal.value.code == "too_large"
    assert api.requests == []


def test_a_job_that_the_network_lost_at_the_last_try_names_the_host_and_never_the_key() -> None:
    with pytest.raises(SdAsyncError) as failure:
        client_of(FakeApi(httpx.ConnectTimeout("slow"))).submit(REQUEST)
    assert "https://api.example.com gave no answer in time" in str(failure.value)
    assert KEY not in str(failure.value)
