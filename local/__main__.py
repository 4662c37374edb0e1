"""`python -m local`: the whole pipeline on this machine, one sample job, then serving until Ctrl-C."""

import json
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from local.deploy.engine import DeployError
from local.helm import ChartError, HelmMissingError
from local.processes import ProcessFailedError
from local.sample import announce, run_sample, serve
from local.system import ROOT, Options, running
from sd_async.config import LOCAL_FILE, write_config
from sd_async.contract.errors import ContractError
from sd_async.errors import SdAsyncError

SAMPLE = ROOT / "examples" / "comfyui" / "text-to-image.json"
EXPECTED = (
    ProcessFailedError, DeployError, HelmMissingError, ChartError, SdAsyncError, ContractError, OSError,
)  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--once", is_flag=True, help="End after the sample job; exit 0 only if it succeeded.")
@click.option("--runtime-url", metavar="URL", help="Use a real ComfyUI instead of the painter.")
@click.option("--workflow", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=SAMPLE,
              help="ComfyUI API-format workflow of the sample job.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out"), show_default=True,
              help="Folder for the sample's images.")  # fmt: skip
@click.option("--stack", default="dev", show_default=True, help="Deploy Pulumi.<stack>.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document about the sample job.")
def main(*, once: bool, runtime_url: str | None, workflow: Path, out: Path, stack: str, as_json: bool) -> None:
    """Run the whole pipeline on this machine: no AWS account, no Docker.

    The same Pulumi program, Lambda code, chart and agent as on AWS, with an emulator in place of AWS and a
    painter (no diffusion model) in place of the GPU.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    console = Console(stderr=as_json, highlight=False)
    try:
        sys.exit(_run(Options(stack=stack, runtime_url=runtime_url), workflow, out, console, once, as_json))
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        sys.exit(130 if once else 0)
    except EXPECTED as error:
        console.print("✗", str(error), style="red", markup=False)
        sys.exit(1)


def _run(options: Options, workflow: Path, out: Path, console: Console, once: bool, as_json: bool) -> int:  # noqa: FBT001 - flags of the command line, passed once
    config = Path(LOCAL_FILE)
    status = console.status("starting")
    status.start()
    try:
        with running(options, status.update) as system:
            status.stop()
            write_config(config, system.endpoint, system.api_key, system.runtime)
            outcome = run_sample(system, workflow, out, console)
            if as_json:
                click.echo(json.dumps(outcome.document()))
            if not once:
                announce(system, console)
                serve(system)
            return 0 if outcome.is_success else 1
    finally:
        status.stop()
        config.unlink(missing_ok=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """The first signal stops everything in order; a second one must not stop the stopping."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
