"""Everything together: emulator, deployed program, painters and the local cluster, for as long as a block lasts."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local import emulator as aws
from local import helm
from local.cluster import LocalCluster, workloads_of
from local.deploy.up import Deployed, stack_config, up
from local.emulator import Emulator
from local.processes import Child, ProcessFailedError, base_environment, free_port, python_module

ROOT = Path(__file__).resolve().parent.parent
PAINTER_WAIT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """stack: whose Pulumi.<stack>.yaml. runtime_url: a real ComfyUI instead of the painter.

    overrides: configuration over the stack's own, by full key. painter: more arguments for the painter.
    """

    stack: str = "dev"
    runtime_url: str | None = None
    overrides: Mapping[str, Any] | None = None
    painter: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """The running system, as a client and a test see it."""

    emulator: Emulator
    deployed: Deployed
    cluster: LocalCluster
    painters: dict[str, Child]
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


@contextlib.contextmanager
def running(options: Options, tell: Callable[[str], None] = lambda _step: None) -> Iterator[System]:
    """The system until the block ends; nothing of it is left afterwards, no process and no folder.

    tell: hears what is being done, in a few words.
    Raises: ProcessFailedError, DeployError, HelmMissingError, each with one sentence.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="sd-async-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        tell("looking for helm")
        helm.find()
        tell("starting the AWS emulator")
        emulator = stack.enter_context(aws.running(folder))
        config = local_config(options, emulator.endpoint)
        tell("starting the painter")
        painters = {} if options.runtime_url else _start_painters(config, options, folder, stack)
        tell("deploying the program")
        deployed = up(ROOT, options.stack, config, emulator)
        overrides = {"SD_RUNTIME_URL": options.runtime_url} if options.runtime_url else {}
        cluster = LocalCluster(emulator, workloads_of(deployed.cluster, ROOT, folder, overrides))
        stack.callback(cluster.stop)
        _wait_for_painters(config, painters)
        cluster.start()
        yield System(emulator, deployed, cluster, painters, folder)


def local_config(options: Options, endpoint: str) -> dict[str, Any]:
    """The stack's own configuration with what differs on one machine: an endpoint, its architecture, free ports."""
    config = {**stack_config(ROOT, options.stack), **(options.overrides or {})}
    config["sd-async:endpoint_url"] = endpoint
    config["sd-async:kubernetes"] = {**config.get("sd-async:kubernetes", {}), "context": "local"}
    config["sd-async:api"] = {**config.get("sd-async:api", {}), "architecture": "host"}
    config["sd-async:runtimes"] = [{**runtime, "port": free_port()} for runtime in config["sd-async:runtimes"]]
    config["aws:region"] = aws.REGION
    return config


def _start_painters(
    config: Mapping[str, Any], options: Options, folder: Path, stack: contextlib.ExitStack
) -> dict[str, Child]:
    painters = {}
    for runtime in config["sd-async:runtimes"]:
        name = f"painter-{runtime['name']}"
        data = folder / name
        data.mkdir()
        arguments = ("--port", str(runtime["port"]), "--data", str(data), *options.painter)
        painters[runtime["name"]] = Child(
            name,
            python_module("local.painter", *arguments),
            environment=base_environment(folder),
            log=folder / f"{name}.log",
            cwd=ROOT,
        )
        stack.callback(painters[runtime["name"]].stop)
    return painters


def _wait_for_painters(config: Mapping[str, Any], painters: Mapping[str, Child]) -> None:
    for runtime in config["sd-async:runtimes"]:
        if child := painters.get(runtime["name"]):
            _wait_for_painter(f"http://127.0.0.1:{runtime['port']}/system_stats", child)


def _wait_for_painter(url: str, child: Child) -> None:
    deadline = time.monotonic() + PAINTER_WAIT_S
    while time.monotonic() < deadline and child.exit_code() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=2).is_success:
                return
        time.sleep(0.05)
    raise ProcessFailedError(f"The painter did not start; its last words:\n{child.last_lines()}")
