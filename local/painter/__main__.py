"""`python -m local.painter`: SIGINT ends it tidily, SIGTERM at once, as with ComfyUI."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from components.settings_runtimes import DEFAULT_PORTS
from local.painter.embedded import started
from local.painter.settings import MAX_UPLOAD_BYTES, NOTICE, PainterSettings
from sd_async.contract.jobs import RuntimeType


def main() -> int:
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    port = DEFAULT_PORTS[options.type] if options.port is None else options.port
    settings = PainterSettings(
        data=options.data,
        type=options.type,
        input=options.input,
        seconds_per_step=options.seconds_per_step,
        first_load_s=options.seconds_to_load,
        has_faults=options.faults,
        has_previews=options.previews,
        max_upload_bytes=round(options.max_upload_size * 1024 * 1024),
    )
    try:
        asyncio.run(_serve(settings, options.host, port))
    except OSError as error:
        print(f"The painter cannot listen on {options.host}:{port}: {error.strerror}; choose another --port.")
        return 1
    return 0


async def _serve(settings: PainterSettings, host: str, port: int) -> None:
    runner, url = await started(settings, host, port)
    stop = asyncio.Event()
    # SIGTERM keeps its default: ComfyUI ends at once, in the middle of a job, and agents must live with that.
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    print(f"{NOTICE}, at {url}", flush=True)
    await stop.wait()
    await runner.cleanup()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.painter", description=f"ComfyUI's or A1111's protocol; {NOTICE}."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on, the runtime's own unless told; 0 takes a free one")
    parser.add_argument("--type", type=RuntimeType, default=RuntimeType.COMFYUI, help="comfyui or a1111")
    parser.add_argument("--data", type=Path, required=True, help="folder for everything the painter writes")
    parser.add_argument("--input", type=Path, help="folder that LoadImage reads (default: DATA/input)")
    parser.add_argument("--seconds-per-step", type=_seconds, default=0.05, help="time of one sampling step")
    parser.add_argument(
        "--seconds-to-load", type=_seconds, default=0.0, help="time in which an A1111 reads its first checkpoint"
    )
    parser.add_argument("--max-upload-size", type=float, default=MAX_UPLOAD_BYTES / 1024 / 1024, help="MiB per request")
    parser.add_argument("--previews", action="store_true", help="send a preview frame after each step")
    parser.add_argument(
        "--faults", action="store_true", help="offer nodes and prompts that are slow or fail on purpose"
    )
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 60 seconds")
    return value


if __name__ == "__main__":
    sys.exit(main())
