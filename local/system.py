"""Everything together: emulator, deployed program and the local cluster, for as long as a block lasts."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx

from local import emulator as aws
from local import helm
from local.cluster import LocalCluster, queue_counts, workloads_of
from local.deploy.up import Deployed, stack_config, up
from local.emulator import Emulator
from local.guard import guard
from local.processes import ProcessFailedError, free_port
from sd_async.contract.jobs import RuntimeType

ROOT = Path(__file__).resolve().parent.parent
RUNTIME_WAIT_S = 10.0  # both answer in milliseconds, also while it samples
# What a runtime is called, a route that only it has, a name in its answer, and where to look for its address.
PROBES = {
    RuntimeType.COMFYUI: ("ComfyUI", "/system_stats", "system", "under which ComfyUI's own page opens"),
    RuntimeType.A1111: ("A1111", "/sdapi/v1/options", "sd_model_checkpoint", "of a web UI that was started with --api"),
}
HERE = {"architecture": "host", "domain": None, "private": None, "vpc_endpoint_id": None, "iam_auth": None}


@dataclass(frozen=True, kw_only=True)
class Options:
    """stack: whose Pulumi.<stack>.yaml. runtime_url: a real runtime instead of the painter.

    overrides: configuration over the stack's own, by full key. painter: more arguments for the painters.
    agents_endpoint: where agents find AWS, given the emulator's address; a test puts a faulty network between.
    """

    stack: str = "dev"
    runtime_url: str | None = None
    overrides: Mapping[str, Any] | None = None
    painter: tuple[str, ...] = ("--seconds-per-step", "0.2")
    agents_endpoint: Callable[[str], str] = str


@dataclass(frozen=True)
class System:
    """The running system, as a client and a test see it."""

    emulator: Emulator
    deployed: Deployed
    cluster: LocalCluster
    folder: Path

    @property
    def endpoint(self) -> str:
        return str(self.deployed.outputs["api_endpoint"])

    @property
    def api_key(self) -> str:
        return str(next(iter(self.deployed.outputs["api_keys"].values())))

    @property
    def runtime(self) -> str:
        """Name of the stack's first runtime."""
        return next(iter(self.cluster.workloads))

    @property
    def type(self) -> RuntimeType:
        """Of the stack's first runtime."""
        return RuntimeType(self.deployed.cluster.releases[0].values["runtime"]["type"])


@contextlib.contextmanager
def running(options: Options, tell: Callable[[str], None] = lambda _step: None) -> Iterator[System]:
    """The system until the block ends; nothing of it is left afterwards, no process and no folder.

    tell: hears what is being done, in a few words.
    Raises: ProcessFailedError, DeployError, HelmMissingError, ChartError, UnknownFieldError, UnknownScalingError, each
    with one sentence.
    """
    with contextlib.ExitStack() as stack:
        stack_config(ROOT, options.stack)  # a stack that is not there is told before anything is started
        if options.runtime_url:
            tell("asking the runtime")
            check_runtime(options.runtime_url, runtime_type(options))
        folder = stack.enter_context(_scratch())
        tell("looking for helm")
        helm.find()
        tell("starting the AWS emulator")
        emulator = stack.enter_context(aws.running(folder))
        config = local_config(options, options.agents_endpoint(emulator.endpoint))
        tell("deploying the program")
        deployed = up(ROOT, options.stack, config, emulator)
        workloads = workloads_of(
            deployed.cluster, ROOT, folder, painter=options.painter, runtime_url=options.runtime_url
        )
        cluster = LocalCluster(workloads, queue_counts(emulator))
        stack.callback(cluster.stop)
        cluster.start()
        yield System(emulator, deployed, cluster, folder)


def check_runtime(url: str, kind: RuntimeType = RuntimeType.COMFYUI) -> None:
    """Raises: ProcessFailedError, when no runtime of the kind answers there; else a job would wait for nothing."""
    name, route, key, how = PROBES[kind]
    try:
        answer = httpx.get(f"{url.rstrip('/')}{route}", timeout=RUNTIME_WAIT_S)
        is_one = answer.is_success and key in answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ProcessFailedError(
            f"No runtime answers at `{url}` ({type(error).__name__}); start {name} there, or leave out --runtime-url "
            "to use the painter."
        ) from error
    if not is_one:
        raise ProcessFailedError(
            f"What answers at `{url}` is no {name} (HTTP {answer.status_code} to {route}); give the address {how}."
        )


def runtime_type(options: Options) -> RuntimeType:
    """Of the stack's first runtime; settings of any other shape are refused later, in full."""
    config = {**stack_config(ROOT, options.stack), **(options.overrides or {})}
    runtimes = config.get("sd-async:runtimes")
    first = runtimes[0] if isinstance(runtimes, list) and runtimes else None
    kind = first.get("type") if isinstance(first, Mapping) else None
    return RuntimeType(kind) if kind in list(RuntimeType) else RuntimeType.COMFYUI


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A new folder for everything; whoever interrupts or kills this process finds it gone all the same."""
    folder = Path(tempfile.gettempdir(), f"sd-async-{token_hex(6)}")
    guard().watch_path(folder)
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        guard().forget_path(folder)


def local_config(options: Options, endpoint: str) -> dict[str, Any]:
    """The stack's own configuration with what differs on one machine: an endpoint, its architecture, a free port.

    Nor does a domain of one's own lead here, and a VPC's door is no door of this machine. A section of the wrong shape
    stays as it is, for the settings to refuse.
    """
    config = {**stack_config(ROOT, options.stack), **(options.overrides or {})}
    config["sd-async:endpoint_url"] = endpoint
    config["sd-async:kubernetes"] = _with(config.get("sd-async:kubernetes", {}), context="local")
    config["sd-async:api"] = _with(config.get("sd-async:api", {}), **HERE)
    runtimes = config.get("sd-async:runtimes")
    if isinstance(runtimes, list):
        config["sd-async:runtimes"] = [_with(runtime, port=free_port()) for runtime in runtimes]
    config["aws:region"] = aws.REGION
    return config


def _with(section: Any, **changes: Any) -> Any:
    return {**section, **changes} if isinstance(section, Mapping) else section
