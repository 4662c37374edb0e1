"""Files from the web: only public addresses, checked on the connection, within limits."""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from agent.edges.download import HttpsDownload, is_public
from agent.errors import AgentError, BadFileError, SourceUnavailableError
from tests.agent.scenario import in_loop

PUBLIC = "93.184.215.14"
NAMES: dict[str, Sequence[str]] = {
    "example.com": [PUBLIC],
    "other.example": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "metadata.example": ["169.254.169.254"],
    "half.example": [PUBLIC, "10.0.0.1"],
    "nothing.example": [],
}


async def resolver(host: str, port: int) -> Sequence[str]:
    if host in NAMES:
        return NAMES[host]
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        raise socket.gaierror(socket.EAI_NONAME, "unknown") from None


class Web:
    """Answers by path, and remembers what it was asked on which address."""

    def __init__(self, answers: dict[str, Callable[[], httpx.Response]]) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = answers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._answers[request.url.path]()

    async def fetch(self, url: str, target: Path, max_bytes: int = 100) -> int:
        return await HttpsDownload(httpx.MockTransport(self), resolver).fetch(url, target, max_bytes)


def ok(body: bytes = b"") -> Callable[[], httpx.Response]:
    """Not read before it is streamed, as over a network."""
    return lambda: httpx.Response(200, stream=httpx.ByteStream(body))


def to(location: str, status: int = 302) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(status, headers={"Location": location})


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2001:0:4136:e378:8000:63bf:5601:5601",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_inside_or_one_that_hides_it_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"])
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@in_loop
async def test_the_connection_goes_to_the_checked_address_under_the_hosts_name(tmp_path: Path) -> None:
    web = Web({"/a.png": ok(b"12345")})
    assert await web.fetch("https://example.com:8443/a.png?sig=1", tmp_path / "a") == 5
    assert (tmp_path / "a").read_bytes() == b"12345"
    [request] = web.asked
    assert (request.url.host, request.url.port) == (PUBLIC, 8443)
    assert request.headers["Host"] == "example.com:8443"
    assert request.extensions["sni_hostname"] == "example.com"
    assert request.url.query == b"sig=1"


@pytest.mark.parametrize(
    "url",
    [
        "https://metadata.example/latest/meta-data",
        "https://half.example/a",
        "https://nothing.example/a",
        "https://nobody.example/a",
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "https://[::ffff:169.254.169.254]/a",
        "http://example.com/a",
    ],
)
@in_loop
async def test_what_is_not_on_the_public_web_is_refused_before_any_connection(tmp_path: Path, url: str) -> None:
    web = Web({})
    with pytest.raises(BadFileError):
        await web.fetch(url, tmp_path / "a")
    assert web.asked == []


@pytest.mark.parametrize("location", ["https://metadata.example/x", "http://example.com/x", "https://10.0.0.1/x"])
@in_loop
async def test_a_redirect_is_checked_like_the_first_address(tmp_path: Path, location: str) -> None:
    web = Web({"/a": to(location)})
    with pytest.raises(BadFileError):
        await web.fetch("https://example.com/a", tmp_path / "a")
    assert len(web.asked) == 1


@in_loop
async def test_a_relative_redirect_stays_on_the_host_and_another_host_is_resolved_anew(tmp_path: Path) -> None:
    web = Web({"/a": to("/b"), "/b": to("https://other.example/c", 307), "/c": ok()})
    assert await web.fetch("https://example.com/a", tmp_path / "a") == 0
    assert [request.headers["Host"] for request in web.asked] == ["example.com", "example.com", "other.example"]


@in_loop
async def test_three_redirects_are_followed_and_a_fourth_is_not(tmp_path: Path) -> None:
    answers = {f"/{number}": to(f"/{number + 1}") for number in range(3)}
    assert await Web(answers | {"/3": ok()}).fetch("https://example.com/0", tmp_path / "a") == 0
    with pytest.raises(BadFileError, match="more than 3 times"):
        await Web(answers | {"/3": to("/4")}).fetch("https://example.com/0", tmp_path / "a")


@pytest.mark.parametrize("length", ["101", None])
@in_loop
async def test_a_file_over_the_limit_is_refused_whether_or_not_it_says_its_size(
    tmp_path: Path, length: str | None
) -> None:
    headers = {"Content-Length": length} if length else {"Transfer-Encoding": "chunked"}
    web = Web({"/a": lambda: httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"x" * 101))})
    with pytest.raises(BadFileError, match="over 100 bytes"):
        await web.fetch("https://example.com/a", tmp_path / "a")


@in_loop
async def test_a_compressed_answer_is_refused_as_its_size_is_unknown(tmp_path: Path) -> None:
    stream = httpx.ByteStream(b"x")
    web = Web({"/a": lambda: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=stream)})
    with pytest.raises(BadFileError, match="compressed"):
        await web.fetch("https://example.com/a", tmp_path / "a")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, BadFileError),
        (404, BadFileError),
        (206, BadFileError),
        (429, SourceUnavailableError),
        (503, SourceUnavailableError),
    ],
)
@in_loop
async def test_an_answer_is_the_files_fault_or_a_passing_one(
    tmp_path: Path, status: int, kind: type[AgentError]
) -> None:
    with pytest.raises(kind, match=str(status)):
        await Web({"/a": lambda: httpx.Response(status)}).fetch("https://example.com/a", tmp_path / "a")


@pytest.mark.parametrize("error", [httpx.ConnectError("no"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("x")])
@in_loop
async def test_a_server_that_fails_may_be_back_later(tmp_path: Path, error: httpx.TransportError) -> None:
    def fail() -> httpx.Response:
        raise error

    with pytest.raises(SourceUnavailableError):
        await Web({"/a": fail}).fetch("https://example.com/a", tmp_path / "a")


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "127.0.0.1.",
        "1\uff127.0.0.1",
        "user:word@127.0.0.1",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fe80::1%25lo]",
        "[::]",
    ],
)
@in_loop
async def test_no_way_to_write_an_inner_address_passes_the_systems_own_resolver(host: str, tmp_path: Path) -> None:
    with pytest.raises(AgentError):
        await HttpsDownload(httpx.MockTransport(_unreachable)).fetch(f"https://{host}/a", tmp_path / "a", 100)


@in_loop
async def test_a_host_that_no_name_server_could_know_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadFileError):
        await HttpsDownload(httpx.MockTransport(_unreachable)).fetch(f"https://{'a' * 70}.example/", tmp_path / "a", 1)


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.url} was asked")
