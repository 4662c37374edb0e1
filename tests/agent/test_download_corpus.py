"""Every way to name an address that is not the public internet's, and every way to get there: none leads to it."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.edges.comfyui.graph import upload_name
from agent.edges.download import HttpsDownload, is_public
from agent.errors import AgentError, BadFileError, SourceUnavailableError
from sd_async.contract.checks import check_files
from sd_async.contract.errors import ContractError
from tests.agent.scenario import in_loop

PUBLIC = "93.184.215.14"

# IANA's special-purpose registries, and what several clouds have within them.
NETWORKS = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
    "::/128", "::1/128", "::ffff:0:0/104", "64:ff9b:1::/48", "100::/64", "2001:2::/48", "2001:10::/28",
    "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fd00:ec2::254/128", "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip
INNER = ("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "192.168.1.1", "172.20.0.10", "0.0.0.0", "224.0.0.1")


def hidden(inner: str) -> list[str]:
    """An IPv4 address as IPv6 ones that carry it."""
    number = int(ipaddress.IPv4Address(inner))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    inverted = number ^ 0xFFFFFFFF
    return [
        f"::ffff:{inner}",
        f"::ffff:{high}:{low}",
        f"::{inner}",
        f"::ffff:0:{inner}",
        f"64:ff9b::{inner}",
        f"64:ff9b::{high}:{low}",
        f"64:ff9b:1::{inner}",
        f"2002:{high}:{low}::1",
        f"2001:0:{high}:{low}::1",
        f"2001:0:5db8:d70e:0:0:{inverted >> 16:x}:{inverted & 0xFFFF:x}",
    ]


def spelled(inner: str) -> list[str]:
    """An IPv4 address as C libraries have always read it."""
    number, parts = int(ipaddress.IPv4Address(inner)), [int(part) for part in inner.split(".")]
    return [
        str(number),
        hex(number),
        oct(number).replace("o", ""),
        ".".join(hex(part) for part in parts),
        ".".join(f"0{part:o}" for part in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        f"0x{parts[0]:x}.{parts[1]}.0{parts[2]:o}.{parts[3]}",
        inner + ".",
        ".".join(f"{part:03d}" for part in parts),
        inner.replace(".", "\uff0e"),
        inner.replace(".", "\u3002"),
        "".join(chr(0xFF10 + int(letter)) if letter.isdigit() else letter for letter in inner),
        "".join(chr(0x2460 + int(letter) - 1) if letter in "123456789" else letter for letter in inner),
    ]


def urls(inner: str) -> list[str]:
    hosts = [inner, *spelled(inner), *(f"[{address}]" for address in hidden(inner)), "[fe80::1%25eth0]", "localhost"]
    return [f"https://{host}/a" for host in hosts] + [
        f"https://example.com@{inner}/a",
        f"https://example.com:443@{inner}/a",
        f"https://{inner}:8443/a",
        f"https://{inner}#@example.com/a",
        f"https://{inner}?@example.com/a",
        f"https://{inner}\\@example.com/a",
        f"https://example.com\\@{inner}/a",
        f"https://{inner}%2f@example.com:x/a",
        f"https:{inner}/a",
        f"https:///{inner}/a",
        f"https://[{inner}]/a",
        f"https://\t{inner}/a",
        f"http://{inner}/a",
        f"HTTP://{inner}/a",
        f"ftp://{inner}/a",
        f"file://{inner}/etc/passwd",
        f"gopher://{inner}/a",
        f"//{inner}/a",
        f"https://rebinds.example/{inner}",
    ]


class Nowhere(httpx.AsyncBaseTransport):
    """Remembers the addresses that were connected to; only `PUBLIC` is a server."""

    def __init__(self, location: str | None = None) -> None:
        self.connected: list[str] = []
        self._location = location

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.connected.append(request.url.host)
        if self._location is not None and len(self.connected) == 1:
            return httpx.Response(302, headers={"Location": self._location})
        return httpx.Response(404)


async def by_system(host: str, port: int) -> Sequence[str]:
    """The system's reading of numbers, without any name server."""
    if host == "example.com":
        return [PUBLIC]
    if host == "rebinds.example":
        return ["127.0.0.1"]
    flags = 0 if host == "localhost" else socket.AI_NUMERICHOST
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)]


@pytest.mark.parametrize("network", NETWORKS)
def test_no_address_of_a_special_network_is_public(network: str) -> None:
    addresses = ipaddress.ip_network(network)
    step = max(addresses.num_addresses // 64, 1)
    for number in [*range(0, addresses.num_addresses, step), addresses.num_addresses - 1]:
        assert not is_public(addresses[number]), addresses[number]


@pytest.mark.parametrize("inner", INNER)
def test_an_address_is_found_in_every_other_that_carries_it(inner: str) -> None:
    for address in hidden(inner):
        assert not is_public(ipaddress.ip_address(address)), address


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "1.1.1.1", "2606:2800::1", "2a00:1450:4001::1"])
def test_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("inner", INNER)
@in_loop
async def test_no_url_leads_inside(tmp_path: Path, inner: str) -> None:
    for url in urls(inner):
        inside = Nowhere()
        with pytest.raises(AgentError):
            await HttpsDownload(inside, by_system).fetch(url, tmp_path / "a", 100)
        assert set(inside.connected) <= {PUBLIC}, url


@pytest.mark.parametrize("inner", INNER)
@in_loop
async def test_no_redirect_leads_inside(tmp_path: Path, inner: str) -> None:
    for url in urls(inner):
        inside = Nowhere(location=url.encode("ascii", "replace").decode())
        with pytest.raises(AgentError):
            await HttpsDownload(inside, by_system).fetch("https://example.com/a", tmp_path / "a", 100)
        assert set(inside.connected) <= {PUBLIC}, url


@in_loop
async def test_a_name_that_points_inside_the_second_time_was_asked_once(tmp_path: Path) -> None:
    answers, inside = [["10.0.0.1"], [PUBLIC]], Nowhere()

    async def rebinding(_host: str, _port: int) -> Sequence[str]:
        return answers.pop()

    with pytest.raises(BadFileError, match="404"):
        await HttpsDownload(inside, rebinding).fetch("https://rebinds.example/a", tmp_path / "a", 100)
    assert (inside.connected, answers) == ([PUBLIC], [["10.0.0.1"]])


@in_loop
async def test_a_name_that_points_inside_after_a_redirect_to_itself_is_refused(tmp_path: Path) -> None:
    answers, inside = [["10.0.0.1"], [PUBLIC]], Nowhere(location="https://rebinds.example/b")

    async def rebinding(_host: str, _port: int) -> Sequence[str]:
        return answers.pop()

    with pytest.raises(BadFileError, match="not on the public internet"):
        await HttpsDownload(inside, rebinding).fetch("https://rebinds.example/a", tmp_path / "a", 100)
    assert inside.connected == [PUBLIC]


@pytest.mark.parametrize("port", [0, 22, 25, 80, 465, 1023])
@in_loop
async def test_another_services_port_is_not_asked(tmp_path: Path, port: int) -> None:
    for start, location in ((f"https://example.com:{port}/a", None), ("https://example.com/", f"//example.com:{port}")):
        inside = Nowhere(location)
        with pytest.raises(BadFileError, match=str(port)):
            await HttpsDownload(inside, by_system).fetch(start, tmp_path / "a", 100)
        assert len(inside.connected) == (location is not None)


@pytest.mark.parametrize("url", ["https://me@example.com/a", "https://me:word@example.com/a", "https://:w@example.com"])
@in_loop
async def test_a_users_name_in_a_url_is_refused(tmp_path: Path, url: str) -> None:
    inside = Nowhere()
    with pytest.raises(BadFileError, match="user's name"):
        await HttpsDownload(inside, by_system).fetch(url, tmp_path / "a", 100)
    assert inside.connected == []


class Dripping(httpx.AsyncBaseTransport):
    """A server that never stops and is never late."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=_Drops())


class _Drops(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"."
            await asyncio.sleep(0.01)


def never(_host: str, _port: int) -> "asyncio.Future[Sequence[str]]":
    return asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(("server", "resolver"), [(Dripping(), by_system), (Nowhere(), never)])
@in_loop
async def test_a_file_that_drips_in_and_a_name_that_is_never_told_end_by_the_clock(
    tmp_path: Path, server: httpx.AsyncBaseTransport, resolver: Callable[..., "asyncio.Future[Sequence[str]]"]
) -> None:
    began_s = time.monotonic()
    with pytest.raises(SourceUnavailableError, match="did not arrive within"):
        await HttpsDownload(server, resolver, total_s=0.2).fetch("https://example.com/a", tmp_path / "a", 10**9)
    assert time.monotonic() - began_s < 10


@given(name=st.text(max_size=300), index=st.integers(0, 31))
def test_no_name_of_a_file_leads_out_of_its_folder(name: str, index: int) -> None:
    try:
        check_files({name: "https://example.com/a"}, frozenset())
    except ContractError:
        pass
    else:
        assert (Path("/folder") / name).parent == Path("/folder")
    at_runtime = upload_name("job-1", index, name)
    assert (Path("/folder") / at_runtime).resolve().parent == Path("/folder").resolve()
    assert at_runtime.isascii()


@pytest.mark.parametrize(
    "name", ["../a", "a/b", "..", ".", "", "a\\b", "/etc/passwd", "C:\\a", "a\x00b", "a\nb", "..\\..\\a", "x" * 256]
)
def test_a_name_with_a_way_in_it_is_refused(name: str) -> None:
    with pytest.raises(ContractError):
        check_files({name: "https://example.com/a"}, frozenset())
