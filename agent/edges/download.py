"""Input files from the web, and from nowhere inside: the address is checked on the connection that is made.

A name is resolved once, only public addresses are taken, and the connection goes to that very address, with the
name kept for TLS and `Host`. So neither a name that points inside, nor one that points elsewhere the second time,
nor a redirect reaches the instance metadata, the cluster or the loopback.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import httpx

from agent.errors import BadFileError, SourceUnavailableError

MAX_REDIRECTS = 3
HTTPS_PORT = 443
FIRST_FREE_PORT = 1024  # what lies below belongs to other services, such as mail, which must not hear from us
TOTAL_TIMEOUT_S = 60.0  # 64 MiB within it is 9 Mbit/s, less than any cloud region's way out
_CONNECT_TIMEOUT_S = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAY_PASS = frozenset({408, 425, 429})

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# Special by IANA's registries, though some versions of `ipaddress` call parts of them global: protocol assignments
# (a cloud's metadata among them), the way out of 6to4, documentation.
_SPECIAL = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("3fff::/20"),
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")


def is_public(address: IPAddress) -> bool:
    """Whether it, and every IPv4 address hidden in it, is one that anybody on the internet can reach."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64_LOCAL or address.is_site_local:
            return False
        hidden = _hidden(address)
        if hidden is not None:
            return all(is_public(inner) for inner in hidden)
    if any(address in network for network in _SPECIAL if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _hidden(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...] | None:
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    return None


async def resolve(host: str, port: int) -> Sequence[str]:
    """Addresses of a host. Raises: OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class PinnedTransport(httpx.AsyncBaseTransport):
    """Sends each request to the public address that its host resolves to, and to no other."""

    def __init__(self, inner: httpx.AsyncBaseTransport, resolver: Resolve = resolve) -> None:
        self._inner = inner
        self._resolve = resolver

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode("ascii")
        address = await self._public_address(host, request.url.port or 443)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.headers["Host"] = request.url.netloc.decode("ascii")
        request.url = request.url.copy_with(host=str(address))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _public_address(self, host: str, port: int) -> IPAddress:
        try:
            found = [ipaddress.ip_address(text.split("%")[0]) for text in await self._resolve(host, port)]
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise SourceUnavailableError(f"`{host}` cannot be looked up now.") from error
            raise BadFileError(f"There is no host `{host}`.") from error
        except UnicodeError as error:
            raise BadFileError(f"`{host}` is no name of a host.") from error
        except (OSError, ValueError) as error:
            raise SourceUnavailableError(f"`{host}` cannot be looked up: {error}.") from error
        if not found or not all(is_public(address) for address in found):
            raise BadFileError(f"`{host}` is not on the public internet; give the file an https:// address that is.")
        return found[0]


class HttpsDownload:
    """inner: who talks to the checked address; the default verifies certificates against the system's roots.

    total_s: for one file, from the first look-up to the last byte, however steadily bytes drip in.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport | None = None,
        resolver: Resolve = resolve,
        total_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        self._inner = inner
        self._resolve = resolver
        self._total_s = total_s

    async def fetch(self, url: str, target: Path, max_bytes: int) -> int:
        # Made anew for each file: most jobs have none, and the certificate store alone takes megabytes.
        transport = PinnedTransport(self._inner or httpx.AsyncHTTPTransport(), self._resolve)
        timeout = httpx.Timeout(self._total_s, connect=_CONNECT_TIMEOUT_S)
        try:
            async with (
                asyncio.timeout(self._total_s),
                httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client,
            ):
                return await _fetch(client, httpx.URL(url), target, max_bytes)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise SourceUnavailableError(f"The file did not arrive within {self._total_s:.0f} s.") from error
        except httpx.InvalidURL as error:
            raise BadFileError(f"This is no URL: {error}.") from error
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"The file's server failed ({type(error).__name__}).") from error


async def _fetch(client: httpx.AsyncClient, url: httpx.URL, target: Path, max_bytes: int) -> int:
    for _ in range(MAX_REDIRECTS + 1):
        _check_url(url)
        # Compressed bytes would have to be unpacked to be counted, and a bomb unpacks to anything.
        async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.status_code not in _REDIRECTS:
                _check(answer, max_bytes)
                return await _write(answer, target, max_bytes)
            # The transport has put an address into the request's own URL; the next one is relative to ours.
            url = url.join(answer.headers.get("Location", ""))
    raise BadFileError(f"The file redirects more than {MAX_REDIRECTS} times.")


def _check_url(url: httpx.URL) -> None:
    if url.scheme != "https":
        raise BadFileError(f"The file leads to {url.scheme or 'no'}://; only https:// is followed.")
    if url.userinfo:
        raise BadFileError("The file's URL holds a user's name; sign the URL instead.")
    port = HTTPS_PORT if url.port is None else url.port
    if port != HTTPS_PORT and port < FIRST_FREE_PORT:
        raise BadFileError(
            f"The file's URL names port {port}; {HTTPS_PORT} and those from {FIRST_FREE_PORT} are asked."
        )


def _check(answer: httpx.Response, max_bytes: int) -> None:
    status = answer.status_code
    if status >= 500 or status in _MAY_PASS:
        raise SourceUnavailableError(f"The file's server answers {status}.")
    if status != 200:
        raise BadFileError(f"The file's server answers {status}.")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise BadFileError("The file's server sends it compressed, though it was asked not to.")
    length = answer.headers.get("Content-Length", "")
    if length.isascii() and length.isdigit():
        _refuse_above(max_bytes, int(length))


async def _write(answer: httpx.Response, target: Path, max_bytes: int) -> int:
    written_bytes = 0
    with target.open("wb") as file:
        async for chunk in answer.aiter_raw():
            written_bytes += len(chunk)
            _refuse_above(max_bytes, written_bytes)
            file.write(chunk)
    return written_bytes


def _refuse_above(max_bytes: int, size_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise BadFileError(f"The file has over {max_bytes} bytes, which is the limit.")
