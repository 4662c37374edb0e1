"""`python -m local`: the whole pipeline on this machine, one sample job, then serving until Ctrl-C."""

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Never

import click
from rich.console import Console

from local.deploy.engine import DeployError
from local.guard import guard
from local.helm import ChartError, HelmMissingError
from local.pods import UnknownFieldError
from local.processes import ProcessFailedError
from local.sample import announce, run_sample, serve
from local.scaler import UnknownScalingError
from local.system import Options, System, running
from sd_async.config import LOCAL_FILE, write_config
from sd_async.contract.errors import ContractError
from sd_async.errors import SdAsyncError

EXPECTED = (
    ProcessFailedError, DeployError, HelmMissingError, ChartError, UnknownFieldError, UnknownScalingError,
    SdAsyncError, ContractError, OSError,
)  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--once", is_flag=True, help="End after the sample job; exit 0 only if it succeeded.")
@click.option("--runtime-url", metavar="URL", help="Use a real runtime instead of the painter.")
@click.option("--workflow", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Sample job: a ComfyUI API-format workflow, an A1111 payload, or a job's body.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out"), show_default=True,
              help="Folder for the sample's images.")  # fmt: skip
@click.option("--stack", default="dev", show_default=True, help="Deploy Pulumi.<stack>.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document about the sample job.")
def main(*, once: bool, runtime_url: str | None, workflow: Path | None, out: Path, stack: str, as_json: bool) -> None:
    """Run the whole pipeline on this machine: no AWS account, no Docker.

    The same Pulumi program, Lambda code, chart and agent as on AWS, with an emulator in place of AWS and a
    painter (no diffusion model) in place of the GPU.
    """
    _prepare()
    console = Console(stderr=as_json, highlight=False)
    try:
        code = _run(Options(stack=stack, runtime_url=runtime_url), workflow, out, console, once, as_json)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        code = 130
    except EXPECTED as error:
        console.print("✗", str(error), style="red", markup=False, soft_wrap=True)
        code = 1
    _leave(code)


def _leave(code: int) -> Never:
    """End with this code, whatever was interrupted.

    CPython remembers an interrupt that came in the middle of a string's `exec` (a named tuple or a data class being
    made) and ends with SIGINT's own status, although it was caught.
    """
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _prepare() -> None:
    """Signals end everything in order; loopback needs no proxy; a terminal without ✗ gets another sign."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, _interrupt)
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost")))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _run(options: Options, workflow: Path | None, out: Path, console: Console, once: bool, as_json: bool) -> int:  # noqa: FBT001 - flags of the command line, passed once
    was_served = False
    status = console.status("starting")
    status.start()
    try:
        with _folder_for_images(out), running(options, status.update) as system, _client_config(system):
            status.stop()
            outcome = run_sample(system, workflow, out, console)
            if as_json:
                click.echo(json.dumps(outcome.document()))
            if once:
                return 0 if outcome.is_success else 1
            announce(system, console)
            was_served = True
            serve(system)
    except KeyboardInterrupt:
        if not was_served:
            raise
    finally:
        status.stop()
    console.print("stopped; nothing is left running")
    return 0


@contextlib.contextmanager
def _folder_for_images(out: Path) -> Iterator[None]:
    """Made before anything else, and gone again if nothing was put there.

    Raises: ProcessFailedError, before a job is run whose images could not be saved.
    """
    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProcessFailedError(
            f"The folder {out} cannot be made ({error.strerror}); name another by --out."
        ) from error
    if not os.access(out, os.W_OK):
        raise ProcessFailedError(f"The folder {out} cannot be written; name another by --out.")
    try:
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                out.rmdir()


@contextlib.contextmanager
def _client_config(system: System) -> Iterator[None]:
    """The file in which `sd-async` finds the endpoint and the key, unless another run has put its own there since."""
    path = Path(LOCAL_FILE).absolute()
    write_config(path, system.endpoint, system.api_key, system.runtime)
    guard().watch_path(path)
    written = path.read_text()
    try:
        yield
    finally:
        if path.is_file() and path.read_text() == written:
            path.unlink()
        guard().forget_path(path)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """The first signal stops everything in order; a second one must not stop the stopping."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
