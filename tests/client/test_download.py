"""Outputs on disk: names that stay inside, nothing replaced, nothing half."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sd_async.download import MAX_NAME_BYTES, safe_name
from sd_async.errors import ApiError, SaveError, Unreachable
from tests.client.fakes import KEY, FakeApi, answer, client_of, output, succeeded

PNG = httpx.Response(200, content=b"PNG!")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_output_is_saved_under_its_own_name(tmp_path: Path) -> None:
    api = FakeApi(lambda request: httpx.Response(200, content=request.url.path.encode()))
    folder = tmp_path / "new" / "out"
    paths = client_of(api).download(succeeded([output("a.png", "9"), output("bb.png", "9")]), folder)
    assert [path.name for path in paths] == ["a.png", "bb.png"]
    assert [path.read_bytes() for path in paths] == [b"/9/5", b"/9/6"]
    assert names_in(folder) == ["a.png", "bb.png"], "no part is left"


def test_the_api_key_is_not_sent_to_where_a_presigned_url_leads(tmp_path: Path) -> None:
    api = FakeApi(httpx.Response(307, headers={"location": "https://other.example.com/x"}), PNG)
    client_of(api).download(succeeded([output("a.png")]), tmp_path)
    assert len(api.requests) == 2
    for request in api.requests:
        assert KEY not in str(request.headers.raw)


def test_two_nodes_with_one_name_get_two_files(tmp_path: Path) -> None:
    api = FakeApi(lambda request: httpx.Response(200, content=request.url.path.encode()))
    job = succeeded([output("a.png", "9"), output("a.png", "12")])
    paths = client_of(api).download(job, tmp_path)
    assert [(path.name, path.read_bytes()) for path in paths] == [("a.png", b"/9/5"), ("a-2.png", b"/12/5")]


def test_two_nodes_with_one_name_and_one_content_get_two_files_too(tmp_path: Path) -> None:
    job = succeeded([output("a.png", "9"), output("a.png", "12")])
    assert [path.name for path in client_of(FakeApi(PNG)).download(job, tmp_path)] == ["a.png", "a-2.png"]


def test_a_second_download_finds_its_files_and_makes_no_more(tmp_path: Path) -> None:
    job = succeeded([output("a.png", "9"), output("a.png", "12")])
    first = client_of(FakeApi(PNG)).download(job, tmp_path)
    assert client_of(FakeApi(PNG)).download(job, tmp_path) == first
    assert names_in(tmp_path) == ["a-2.png", "a.png"]


def test_a_file_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"mine")
    (tmp_path / "a-2.png").mkdir()
    (tmp_path / "a-3.png").symlink_to(tmp_path / "nowhere")
    (path,) = client_of(FakeApi(PNG)).download(succeeded([output("a.png")]), tmp_path)
    assert path.name == "a-4.png"
    assert (tmp_path / "a.png").read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists(), "a link is not followed"


def test_a_link_is_not_taken_for_a_file_even_when_it_leads_to_the_same_content(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "elsewhere.png").write_bytes(b"PNG!")
    (folder / "a.png").symlink_to(tmp_path / "elsewhere.png")
    (path,) = client_of(FakeApi(PNG)).download(succeeded([output("a.png")]), folder)
    assert path.name == "a-2.png"


@pytest.mark.parametrize("name", ["../../evil.sh", "/etc/passwd", "..\\..\\evil", "a/../../b", ".."])
def test_a_name_that_points_elsewhere_stays_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    (path,) = client_of(FakeApi(PNG)).download(succeeded([output(name)]), folder)
    assert path.parent == folder
    assert names_in(tmp_path) == ["out"]


@given(st.text())
def test_any_text_becomes_one_plain_file_name(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert safe not in {".", ".."}
    assert not set(safe) & set('/\\\0\n:*?"<>|')
    assert len(safe.encode()) <= MAX_NAME_BYTES


def test_a_url_whose_time_has_passed_is_replaced_by_a_new_one(tmp_path: Path) -> None:
    renewed = succeeded([output("a.png", url="https://outputs.example.com/new")])
    api = FakeApi(httpx.Response(403, text="<Error>expired</Error>"), answer(renewed), PNG)
    (path,) = client_of(api).download(succeeded([output("a.png")]), tmp_path)
    assert path.read_bytes() == b"PNG!"
    assert str(api.requests[-1].url) == "https://outputs.example.com/new"


def test_an_output_that_is_refused_twice_is_an_error_that_names_it_and_not_its_signature(tmp_path: Path) -> None:
    job = succeeded([output("a.png")])
    refusal = httpx.Response(403, text="<Error/>")
    with pytest.raises(ApiError, match=r"Output a\.png: https://outputs\.example\.com answered 403") as error:
        client_of(FakeApi(refusal, answer(job), refusal)).download(job, tmp_path)
    assert "secret" not in str(error.value)
    assert names_in(tmp_path) == []


def broken_after(content: bytes) -> Callable[[httpx.Request], httpx.Response]:
    def chunks() -> Iterator[bytes]:
        yield content
        raise httpx.ReadError("cut")

    return lambda _: httpx.Response(200, content=chunks())


def test_a_download_that_breaks_is_begun_again_from_its_start(tmp_path: Path) -> None:
    api = FakeApi(broken_after(b"half of something longer"), PNG)
    (path,) = client_of(api).download(succeeded([output("a.png")]), tmp_path)
    assert path.read_bytes() == b"PNG!"


def test_a_download_that_never_ends_well_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"https://outputs\.example\.com cannot be reached"):
        client_of(FakeApi(broken_after(b"half"))).download(succeeded([output("a.png")]), tmp_path)
    assert names_in(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="give another folder"):
        client_of(FakeApi(PNG)).download(succeeded([output("a.png")]), tmp_path / "file" / "out")


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "no url", "https://[", "/relative"])
def test_an_address_that_nothing_can_fetch_is_one_of_our_errors(tmp_path: Path, url: str) -> None:
    job = succeeded([output("a.png", url="x")])
    bad = output("a.png")
    job.outputs[0] = type(bad)(**{name: getattr(bad, name) for name in bad.__struct_fields__} | {"url": url})
    with pytest.raises(Unreachable):
        client_of(httpx.HTTPTransport()).download(job, tmp_path)
