"""ComfyUI's guard against web pages that post to a server on the same machine."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler


@web.middleware
async def refuse_foreign_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """403 for an `Origin` of another host than the one asked, on loopback only."""
    origin = request.headers.get("Origin")
    if origin and _is_foreign(request.headers.get("Host", ""), origin):
        return web.Response(status=403)
    return web.Response() if request.method == "OPTIONS" else await handler(request)


def _is_foreign(host: str, origin: str) -> bool:
    asked, came_from = urlsplit(f"//{host.lower()}"), urlsplit(origin.lower())
    if not asked.hostname or not came_from.hostname or not _is_loopback(asked.hostname):
        return False
    if asked.port is None or came_from.port is None:
        return asked.hostname != came_from.hostname
    return asked.netloc != came_from.netloc


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
