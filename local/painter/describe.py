"""What the painter says about itself and its machine."""

import os
import platform
import sys

import aiohttp
from aiohttp import web

from local.painter.settings import NOTICE

# The version whose measured behaviour the painter follows; clients compare it as a version number.
COMFYUI_VERSION = "0.3.64"

_PAGE = f"""<!doctype html><meta charset="utf-8"><title>{NOTICE}</title>
<body style="font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem">
<h1>{NOTICE}</h1>
<p>This server speaks the protocol of ComfyUI {COMFYUI_VERSION} and paints pictures on the CPU from the words, the seed
and the settings of a prompt. Post a workflow in API format to <code>/prompt</code>; the nodes it knows are listed at
<a href="/object_info">/object_info</a>.</p>"""


async def page(_: web.Request) -> web.Response:
    return web.Response(text=_PAGE, content_type="text/html")


async def system_stats(_: web.Request) -> web.Response:
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    total, free = (page_bytes * os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    memory = {"vram_total": total, "vram_free": free, "torch_vram_total": total, "torch_vram_free": free}
    system = {
        "os": sys.platform,
        "ram_total": total,
        "ram_free": free,
        "comfyui_version": COMFYUI_VERSION,
        "python_version": sys.version,
        "pytorch_version": NOTICE,
        "embedded_python": False,
        "argv": ["painter"],
        "aiohttp_version": aiohttp.__version__,
        "machine": platform.machine(),
    }
    return web.json_response({"system": system, "devices": [{"name": "cpu", "type": "cpu", "index": None, **memory}]})
