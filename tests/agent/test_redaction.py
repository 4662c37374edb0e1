"""Nothing that is secret and nothing that a client wrote comes out, wherever it is hidden."""

import asyncio
import gc
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import AwsRefusedError, InvalidWorkflowError, NodeFailedError, RuntimeLostError
from agent.telemetry import redaction
from agent.telemetry.redaction import HIDDEN, Redaction, secrets_of
from sd_async.contract.records import Record
from tests.agent.said import saying
from tests.agent.scenario import Scenario, ended, in_loop, message_of
from tests.support.fakes import Faults

SECRET = "5ecre7AndLong"
FORMATS = ("json", "text")
SHAPES: tuple[Callable[[str], str], ...] = (
    lambda secret: f"https://b.s3.amazonaws.com/k.png?X-Amz-Credential=AKIA&X-Amz-Signature={secret}",
    lambda secret: f"https://b.s3.amazonaws.com/k.png?AWSAccessKeyId=a&Signature={secret}&Expires=1",
    lambda secret: f"https://files.example/a.png?sig={secret}&se=2030",
    lambda secret: f"https://proxy.example/?to=https%3A%2F%2Fb.example%2Fk%3FX-Amz-Signature%3D{secret}",
    lambda secret: f"next=https%3A%2F%2Ffiles.example%2Fa.png%3Fsig%3D{secret}%26se%3D2030",
    lambda secret: f"s3://bucket/key?versionId={secret}",
    lambda secret: f"/b/k.png?X-Amz-Security-Token={secret}",
    lambda secret: f"https://user:{secret}@example.com/a",
    lambda secret: f"Authorization: Bearer {secret}",
    lambda secret: f"{{'Authorization': 'AWS4-HMAC-SHA256 Credential=AKIA/2030, Signature={secret}'}}",
    lambda secret: f"{{'x-api-key': '{secret}'}}",
    lambda secret: f'{{"token": "{secret} and {secret}"}}',
    lambda secret: f'{{"error": "{{\\"api_key\\": \\"{secret}\\"}}"}}',
    lambda secret: f"[(b'x-api-key', b'{secret}')]",
    lambda secret: f"aws_secret_access_key={secret}",
    lambda secret: f"password={secret}",
    lambda secret: f"Set-Cookie: {secret}; Path=/",
    lambda secret: f"Bearer {secret}",
    lambda secret: f"eyJhbGciOiJIUzI1NiJ9.{secret}.{secret}",
    lambda secret: f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{secret}\n-----END RSA {'PRIVATE'} KEY-----",
)
NOISE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
secret_texts = st.builds(
    lambda shape, before, after: f"{before} {shape(SECRET)} {after}", st.sampled_from(SHAPES), NOISE, NOISE
)


@dataclass(frozen=True)
class Sent:
    """Something of a client's that nobody thought of."""

    prompt: str


class Packed(msgspec.Struct):
    words: str


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The leaf somewhere in lists, tuples, mappings and their keys."""
    names = st.sampled_from(["error", "url", "why", "1"])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=2),
            st.tuples(inner),
            st.dictionaries(names, inner, min_size=1, max_size=2),
            st.dictionaries(leaves.filter(lambda leaf: isinstance(leaf, str)), st.just(1), min_size=1, max_size=1)
            if leaves is secret_texts
            else st.lists(inner, max_size=1),
        ),
        max_leaves=4,
    )


@st.composite
def chains(draw: st.DrawFn, words: st.SearchStrategy[str], kinds: list[Callable[[str], Exception]]) -> BaseException:
    """Exceptions with these words, each the cause, the context, or a part of the next."""
    error: BaseException | None = None
    for link in draw(st.lists(st.sampled_from(["cause", "context", "group"]), min_size=1, max_size=4)):
        text = draw(words)
        following: BaseException = draw(st.sampled_from(kinds))(text)
        following.add_note(text)
        if error is None:
            pass
        elif link == "cause":
            following.__cause__ = error
        elif link == "context":
            following.__context__ = error
        else:
            following = BaseExceptionGroup(text, [error, following])
        error = following
    assert error is not None
    return error


FOREIGN: list[Callable[[str], Exception]] = [ValueError, KeyError, OSError, UnicodeError, RuntimeError]
OURS: list[Callable[[str], Exception]] = [AwsRefusedError, RuntimeLostError]
OF_JOBS: list[Callable[[str], Exception]] = [
    NodeFailedError,
    lambda text: InvalidWorkflowError(text, node_errors={"9": {"errors": [text]}}),
]


def written(log_format: str, say: Callable[[logging.Logger], None], logger: str = "agent.some.child") -> str:
    with saying(log_format) as stream:
        say(logging.getLogger(logger))
    assert stream.getvalue().count("\n") == 1, "one line, whatever is in it"
    return stream.getvalue()


@pytest.mark.parametrize("log_format", FORMATS)
@given(value=nested(secret_texts))
def test_no_secret_comes_out_of_any_field(log_format: str, value: Any) -> None:
    assert SECRET not in written(log_format, lambda log: log.warning("said", extra={"fields": {"found": value}}))


@pytest.mark.parametrize("log_format", FORMATS)
@given(text=secret_texts)
def test_no_secret_comes_out_of_a_message_or_its_arguments(log_format: str, text: str) -> None:
    assert SECRET not in written(log_format, lambda log: log.warning("said %s", text))
    assert SECRET not in written(log_format, lambda log: log.warning("said %s", [text]))
    assert SECRET not in written(log_format, lambda log: log.warning(text.replace("%", "%%")))
    assert SECRET not in written(log_format, lambda log: log.warning("said %(a)s", {"a": text}))
    too_few = "%s %s"
    assert SECRET not in written(log_format, lambda log: log.warning(too_few, text)), "nor of one that fails"


_NETS = [
    net
    for name, net in vars(redaction).items()
    if isinstance(net, re.Pattern) and name not in {"_HIDDEN_NAME", "_HARMLESS"}
]
_WORDS = ["token", "secret", "apikey", "authorization", "bearer", "begin", "private", "key", "akia", "eyjab", "https"]
_SIGNS = ["3d", "-", "_", "-----"]


@given(st.lists(st.sampled_from([*_WORDS, *_SIGNS]) | st.from_regex(redaction._HARMLESS, fullmatch=True)).map("".join))
def test_what_is_let_through_unseen_is_in_none_of_the_nets(text: str) -> None:
    assert len(_NETS) == 8
    assert redaction._HARMLESS.fullmatch(text)
    assert not [net.pattern for net in _NETS if net.search(text)]


@pytest.mark.parametrize("log_format", FORMATS)
@given(error=chains(secret_texts, FOREIGN + OURS + OF_JOBS))
def test_no_secret_comes_out_of_an_exception(log_format: str, error: BaseException) -> None:
    assert SECRET not in written(log_format, lambda log: log.warning("raised", exc_info=error))


PROMPT = "a fox of 5ecre7 colours"


@pytest.mark.parametrize("log_format", FORMATS)
@given(error=chains(st.just(PROMPT), FOREIGN + OF_JOBS), name=st.sampled_from(["asyncio", "agent", "httpx.client"]))
def test_no_words_of_a_client_come_out_of_an_exception(log_format: str, error: BaseException, name: str) -> None:
    assert PROMPT not in written(log_format, lambda log: log.warning("raised", exc_info=error), name)


@pytest.mark.parametrize(
    "name", ["prompt", "negative_prompt", "Prompt", "input", "workflow", "text", "context", "files"]
)
@given(value=nested(st.sampled_from([PROMPT, Sent(PROMPT), Packed(PROMPT), PROMPT.encode(), ValueError(PROMPT)])))
def test_no_words_of_a_client_come_out_of_the_fields_that_hold_them(name: str, value: Any) -> None:
    said = written("json", lambda log: log.warning("said", extra={"fields": {"deep": [{name: value}]}}))
    assert PROMPT not in said
    assert HIDDEN in said


@given(value=nested(st.sampled_from([Sent(PROMPT), Packed(PROMPT), PROMPT.encode(), ValueError(PROMPT)])))
def test_of_a_thing_that_nobody_thought_of_only_its_kind_is_told(value: Any) -> None:
    assert PROMPT not in written("json", lambda log: log.warning("said %s", value, extra={"fields": {"thing": value}}))


def test_of_a_librarys_line_only_its_template_is_told() -> None:
    said = written("json", lambda log: log.warning("Retrying %s\nafter %s", PROMPT, PROMPT), "urllib3.pool")
    assert json.loads(said)["message"] == "urllib3.pool: Retrying %s"


@in_loop
async def test_an_exception_that_nobody_fetched_is_told_without_its_words() -> None:
    async def failing() -> None:
        raise ValueError(PROMPT)

    with saying() as stream:
        task = asyncio.create_task(failing())
        await asyncio.wait([task])
        del task
        gc.collect()
        await asyncio.sleep(0)
    assert "never retrieved" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert PROMPT not in stream.getvalue()


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 10**5000, "\ud800", {1: {2: 3}}, {None: 1}],
    ids=["no number", "infinity", "long", "surrogate", "number as name", "none as name"],
)
def test_a_value_that_json_has_not_costs_no_line(value: Any) -> None:
    assert "said" in written("json", lambda log: log.warning("said", extra={"fields": {"value": value}}))


def test_what_holds_itself_is_told_to_some_depth() -> None:
    value: list[Any] = []
    value.append({"inner": value})
    said = written("json", lambda log: log.warning("said", extra={"fields": {"value": value}}))
    assert "<list>" in said or "<dict>" in said
    assert len(said) < 1000
    itself: dict[str, Any] = {}
    itself["value"] = itself
    assert "<dict>" in written("json", lambda log: log.warning("said", extra={"fields": itself}))
    error = ValueError("x")
    error.__cause__ = error
    assert "ValueError" in written("json", lambda log: log.warning("said", exc_info=error))


def test_secrets_that_are_known_are_taken_out_in_any_shape() -> None:
    environment = {
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
        "OTEL_EXPORTER_OTLP_HEADERS": "dd-key=abcdefgh",
        "AWS_REGION": "us-west-2",
        "SOME_TOKEN": "ab",
    }
    redaction = Redaction(secrets_of(environment))
    assert redaction("in us-west-2 wJalrXUtnFEMI/K7MDENG was ab") == f"in us-west-2 {HIDDEN} was ab"
    assert redaction({"why": ["dd-key=abcdefgh"]}) == {"why": [HIDDEN]}


def test_what_is_no_secret_is_left_as_it_is() -> None:
    plain = "The runtime answers 500 to https://b.s3.amazonaws.com/a/b.png; 3 of 4 tokens, a cookie and passwords."
    assert Redaction()(plain) == plain
    line = {"job_id": "8f14e45f-ceea-467f-a830-5d1fd1a4d6c8", "attempt": 1, "wait_s": 1.5, "error": None, "ok": True}
    assert Redaction()(line) == line


@pytest.mark.parametrize("text", ["a" * 10**6, "a.b-" * 10**5, "://" * 10**5, "token" * 10**5, "\\'" * 10**5])
def test_no_text_takes_long(text: str) -> None:
    began_s = time.process_time()
    assert len(Redaction()(text)) < 20_000, "a line has to fit into CloudWatch's events"
    assert time.process_time() - began_s < 1, "lines are written by the loop that drives everything"


def of_faults(scene: Scenario) -> Mapping[str, Faults]:
    return {
        "run": scene.backend.faults,
        "read": scene.backend.faults,
        "put": scene.files.faults,
        "fetch": scene.web.faults,
        "claim": scene.store.faults,
        "get": scene.store.faults,
        "beat": scene.store.faults,
        "finish": scene.store.faults,
        "publish": scene.topic.faults,
        "delete": scene.queue.faults,
    }


@pytest.mark.parametrize("kind", [NodeFailedError, ValueError, UnicodeError, OSError], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "method", ["run", "read", "put", "fetch", "claim", "get", "beat", "finish", "publish", "delete"]
)
def test_whatever_fails_in_a_job_the_log_holds_no_prompt_and_no_presigned_url(
    method: str, kind: Callable[[str], Exception]
) -> None:
    url = f"https://files.example/in.png?X-Amz-Signature={SECRET}"
    graph = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": PROMPT, "image": "in"}}}
    records: list[Record] = []

    @in_loop
    async def run() -> None:
        scene = Scenario()
        scene.web.at[url] = b"pixels"
        await scene.submit(message_of(input=graph, files={"in": url}, context={"note": PROMPT}))
        of_faults(scene)[method].add(method, kind(f"{PROMPT} at {url}"))
        agent = scene.agent()
        await scene.clock.advance(30)
        await ended([agent])
        records.extend(scene.store.records.values())

    with saying() as stream:
        run()
    said = stream.getvalue()
    assert records, "there was a job"
    assert "job closed" in said or "message put back" in said
    assert PROMPT not in said
    assert SECRET not in said
