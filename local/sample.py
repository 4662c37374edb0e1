"""The sample job: submitted, watched, its images saved; then what a person needs to send the next one."""

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from local.processes import ProcessFailedError
from local.system import ROOT, System
from sd_async.client import Client
from sd_async.contract.jobs import Job, RuntimeType
from sd_async.contract.states import FINAL, Status
from sd_async.jobfile import Overrides, request_of
from sd_async.progress import ProgressLine

EXAMPLES = ROOT / "examples"
# What a person may send next: a body by hand, and one for the command.
OFFERED = {
    RuntimeType.COMFYUI: ("job.json", "comfyui/several-outputs.json"),
    RuntimeType.A1111: ("a1111/text-to-image.json", "a1111/batch-with-grid.json"),
}
LOOK_S = 0.1  # often enough to see phases that last a moment
PATIENCE_S = 300.0  # the painter takes seconds; a real runtime loads its model first


@dataclass(frozen=True)
class Outcome:
    job: Job
    images: list[Path]
    took_s: float

    @property
    def is_success(self) -> bool:
        return self.job.status is Status.SUCCEEDED and bool(self.images)

    def document(self) -> dict[str, Any]:
        return {
            "job": msgspec.to_builtins(self.job),
            "images": [str(path) for path in self.images],
            "took_s": round(self.took_s, 3),
        }


def run_sample(system: System, workflow: Path | None, out: Path, console: Console) -> Outcome:
    """One job the real way, from POST to files in `out`. workflow: None for the example of the runtime's type.

    Raises: SdAsyncError, ProcessFailedError.
    """
    began_s = time.monotonic()
    runtime = None if workflow else system.runtime  # the example's own may be called something else
    body = (workflow or EXAMPLES / system.type / "text-to-image.json").read_bytes()
    request = request_of(body, Overrides(runtime=runtime), system.runtime)
    with Client(system.endpoint, system.api_key) as client:
        with ProgressLine(console) as progress:
            progress.say("accepting")
            job = client.submit(request)
            progress.say("accepted", job.id)
            job = _watch(system, client, job, progress)
        images = client.download(job, out / job.id) if job.status is Status.SUCCEEDED else []
    for path in images:
        console.print(Text(f"  {path}", style="bold"), soft_wrap=True)
    return Outcome(job, images, time.monotonic() - began_s)


def _watch(system: System, client: Client, job: Job, progress: ProgressLine) -> Job:
    deadline = time.monotonic() + PATIENCE_S
    while job.status not in FINAL:
        if system.cluster.failure:
            raise cluster_failed(system.cluster.failure)
        if time.monotonic() > deadline:
            raise ProcessFailedError(f"The sample job is still {job.status} after {PATIENCE_S:.0f} s; logs of its "
                                     f"agents are in {system.folder}.")  # fmt: skip
        if job.status is Status.QUEUED and system.cluster.agents(job.runtime):
            progress.say("agent starting")
        else:
            progress.show(job)
        time.sleep(LOOK_S)
        job = client.get(job.id)
    if job.metrics.store_ms is not None:
        progress.say("uploading", f"{job.metrics.store_ms} ms")  # mostly over before it can be seen
    progress.show(job)
    return job


def announce(system: System, console: Console) -> None:
    """Where the API is and how to send it a job, ready to paste."""
    command = Path(sys.executable).with_name("sd-async")
    body, workflow = (EXAMPLES / name for name in OFFERED[system.type])
    lines = [
        "",
        f"API endpoint  {system.endpoint}",
        f"API key       {system.api_key}",
        "",
        f"curl -sS -X POST {system.endpoint}/v1/jobs -H 'x-api-key: {system.api_key}' \\",
        f"  -H 'content-type: application/json' --data @{_shown(body)}",
        "",
        f"{_shown(command)} submit {_shown(workflow)} --watch -o out",
        "",
        "Serving until Ctrl-C. The runtime is a painter and no diffusion model; --runtime-url takes a real one.",
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _shown(path: Path) -> str:
    """As short as it may be here, ready for a shell."""
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def serve(system: System) -> None:
    """Wait until someone stops it. Raises: ProcessFailedError, when a part of the system ends by itself."""
    while True:
        time.sleep(LOOK_S)
        emulator = system.emulator.child
        if emulator.exit_code() is not None:
            raise ProcessFailedError(f"The AWS emulator ended; its last words:\n{emulator.last_lines()}")
        if system.cluster.failure:
            raise cluster_failed(system.cluster.failure)


def cluster_failed(failure: Exception) -> ProcessFailedError:
    return ProcessFailedError(f"The local cluster stopped: {type(failure).__name__}: {failure}")
