"""A painter in a thread of this process, for tests that need a runtime to talk to."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future

from aiohttp import web

from local.painter.a1111.server import WebUi
from local.painter.server import Painter
from local.painter.settings import PainterSettings
from sd_async.contract.jobs import RuntimeType

START_WAIT_S = 30.0
PAINTERS: Mapping[RuntimeType, Callable[[PainterSettings], Painter | WebUi]] = {
    RuntimeType.COMFYUI: Painter,
    RuntimeType.A1111: WebUi,
}


async def started(settings: PainterSettings, host: str, port: int) -> tuple[web.AppRunner, str]:
    """A listening painter and its URL; port 0 takes a free one. Raises: OSError, when the port is taken."""
    runner = web.AppRunner(PAINTERS[settings.type](settings).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    shown = f"[{host}]" if ":" in host else host
    return runner, f"http://{shown}:{runner.addresses[0][1]}"


@contextlib.contextmanager
def serving(settings: PainterSettings) -> Iterator[str]:
    """URL of a painter on a free loopback port, which ends with the block."""
    ready: Future[str] = Future()
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        try:
            runner, url = await started(settings, "127.0.0.1", 0)
        except Exception as error:
            ready.set_exception(error)
            raise
        ready.set_result(url)
        await stop.wait()
        await runner.cleanup()

    def run() -> None:
        with contextlib.suppress(OSError):  # whoever waits for `ready` is told
            asyncio.run(serve())

    thread = threading.Thread(target=run, name="painter", daemon=True)
    thread.start()
    try:
        yield ready.result(START_WAIT_S)
    finally:
        with contextlib.suppress(RuntimeError):  # the loop is closed already when it could not start
            loops[0].call_soon_threadsafe(stop.set)
        thread.join(START_WAIT_S)
