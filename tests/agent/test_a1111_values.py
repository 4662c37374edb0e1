"""Answers in pieces, payloads with files, any JSON as progress: apart from any server."""

import asyncio
import base64
import gc
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.edges.a1111.answer import LONG_BYTES, Answer, Picture
from agent.edges.a1111.body import Body
from agent.edges.a1111.outputs import artifacts
from agent.edges.a1111.progress import Watch
from agent.edges.a1111.replies import error_of
from agent.edges.a1111.request import Request
from agent.errors import AgentError, BadFileError, RuntimeFaultError, TooManyOutputsError
from sd_async.contract.jobs import Progress
from tests.agent.test_comfyui_values import JSON

LONG = bytes(range(192)) * (LONG_BYTES // 192)  # whole triples, so that its base64 has no padding
TEXTS = st.one_of(
    st.text(max_size=20),
    st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()),
    st.integers(1, 3).map(lambda extra: base64.b64encode(LONG + bytes(extra)).decode()),
    st.sampled_from(["a" * LONG_BYTES + end for end in ("", "\\", '"', "=", "==", "=a", "é", "a", "aa", "aaa")]),
)
DOCUMENTS = st.fixed_dictionaries({"images": st.lists(TEXTS, max_size=4), "info": TEXTS, "n": st.integers()})


def read(data: bytes, sizes: list[int]) -> Any:
    """The document of an answer that came in pieces of these sizes, again and again."""
    incoming, at, turn = Answer(), 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        incoming.take(data[at : at + size])
        at, turn = at + size, turn + 1
    incoming.close()
    return incoming.document()


def with_texts(value: Any) -> Any:
    """Pictures as the text that they came as."""
    if isinstance(value, Picture):
        return base64.b64encode(value.path.read_bytes()).decode()
    if isinstance(value, dict):
        return {name: with_texts(inner) for name, inner in value.items()}
    return [with_texts(inner) for inner in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(
    DOCUMENTS, st.lists(st.sampled_from([1, 2, 3, 5, 4096, 65536]), min_size=1, max_size=3).filter(lambda s: max(s) > 5)
)
def test_whatever_the_pieces_the_document_is_the_same(document: dict[str, Any], sizes: list[int]) -> None:
    for data in (json.dumps(document).encode(), json.dumps(document, ensure_ascii=False).encode()):
        assert with_texts(read(data, sizes)) == document


def test_a_long_picture_is_on_disk_and_gone_with_its_last_user() -> None:
    document = read(json.dumps({"images": [base64.b64encode(LONG).decode(), "aGk="]}).encode(), [4096])
    [picture, small] = document["images"]
    assert isinstance(picture, Picture)
    assert (picture.path.read_bytes(), picture.head(), small) == (LONG, LONG[:16], "aGk=")
    path = picture.path
    del picture, document
    gc.collect()
    assert not path.exists()


@pytest.mark.parametrize("pieces", [["aa==", "aaaa"], ["aaa=", "aaaa"], ["aa", "==", "a"], ["a"], ["a===="]])
def test_what_only_begins_as_base64_is_text_again(tmp_path: Path, pieces: list[str]) -> None:
    incoming = Answer(tmp_path)
    begun = base64.b64encode(LONG)
    for piece in ('["', begun.decode(), *pieces, '"]'):
        incoming.take(piece.encode())
    assert incoming.document() == [begun.decode() + "".join(pieces)]
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_come_back_in_the_parameters_are_not_told_again() -> None:
    text = base64.b64encode(LONG).decode()
    parameters = {"init_images": [text, "aGk="], "alwayson_scripts": {"x": {"args": [text[:300], "a b" * 100]}}}
    document = read(json.dumps({"images": ["aGk="], "parameters": parameters}).encode(), [4096])
    told = json.loads(artifacts(document, Request("img2img", {}))[-1].source)
    assert told["parameters"] == {
        "init_images": [None, "aGk="],
        "alwayson_scripts": {"x": {"args": [None, "a b" * 100]}},
    }


def test_an_answer_that_ends_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    incoming = Answer(tmp_path)
    incoming.take(b'{"images": ["' + base64.b64encode(LONG))
    assert len(list(tmp_path.iterdir())) == 1
    incoming.close()
    assert incoming.document() is None
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_too_large_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFaultError, match="over 100 bytes that are no picture"):
        Answer(max_text_bytes=100).take(b'{"info": "' + b"a b" * 50)
    incoming = Answer(tmp_path, max_pictures_bytes=2 * len(LONG))
    for piece in (b'["', base64.b64encode(LONG), b'", "', base64.b64encode(LONG), b'", "'):
        incoming.take(piece)
    incoming.take(base64.b64encode(LONG))
    with pytest.raises(TooManyOutputsError, match="make fewer at once"):
        incoming.take(b"AAAA")
    incoming.close()
    assert len(list(tmp_path.iterdir())) == 2, "what was half decoded is gone"


def test_files_that_are_too_large_together_are_refused_with_both_sizes(tmp_path: Path) -> None:
    files = {"a": tmp_path / "a"}
    files["a"].write_bytes(b"12345")
    Body({"image": "a"}, files, max_placed_bytes=9)
    with pytest.raises(BadFileError, match=r"10 bytes together; at most 9"):
        Body({"image": "a", "mask": "a"}, files, max_placed_bytes=9)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 3 * 64 * 1024 - 1, 3 * 64 * 1024, 3 * 64 * 1024 + 1])
def test_a_payloads_length_is_known_before_it_is_sent(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(size))
    sent = Body({"image": "a", "list": ["a", "b", {"a": 1}], "é": "x"}, {"a": path})

    async def whole() -> bytes:
        return b"".join([chunk async for chunk in sent.chunks()])

    data = asyncio.run(whole())
    assert len(data) == sent.size_bytes
    text = base64.b64encode(bytes(size)).decode()
    assert json.loads(data) == {"image": text, "list": [text, "b", {"a": 1}], "é": "x"}


@settings(deadline=None)
@given(JSON, st.booleans())
def test_any_json_is_some_progress_that_never_goes_back(document: Any, loads: bool) -> None:  # noqa: FBT001 - drawn
    seen = list[Progress]()
    watch = Watch(seen.append, loads=loads)
    watch.begin()
    for told in (document, {"progress": 0.5, "state": {"job_count": 1}}, {"progress": document, "state": document}):
        watch.take(told)
    assert [one.value for one in seen] == sorted(one.value for one in seen)
    assert all(0 <= one.value <= 1 and math.isfinite(one.step) for one in seen)
    assert seen[-1].message == ""


@settings(deadline=None)
@given(JSON, st.sampled_from([400, 401, 404, 405, 422, 500, 503]))
def test_any_answer_is_one_error_of_ours(document: Any, status: int) -> None:
    assert isinstance(error_of(status, document), AgentError)
    wrapped = {"error": document, "detail": document, "errors": document}
    assert isinstance(error_of(status, wrapped), AgentError)


@settings(deadline=None)
@given(JSON, JSON)
def test_any_answer_is_pictures_or_one_error_of_ours(images: Any, info: Any) -> None:
    document = {"images": images, "info": json.dumps(info), "parameters": info}
    try:
        made = artifacts(document, Request("txt2img", {}))
    except AgentError:
        return
    assert made[-1].name == "info.json"
