"""Everything together: emulator, deployed program and the local cluster, for as long as a block lasts."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import emulator as aws
from local import helm
from local.cluster import LocalCluster, workloads_of
from local.deploy.up import Deployed, stack_config, up
from local.emulator import Emulator
from local.processes import free_port

ROOT = Path(__file__).resolve().parent.parent
HERE = {"architecture": "host", "domain": None, "vpc_endpoint_id": None, "iam_auth": None}


@dataclass(frozen=True, kw_only=True)
class Options:
    """stack: whose Pulumi.<stack>.yaml. runtime_url: a real ComfyUI instead of the painter.

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
        config = local_config(options, options.agents_endpoint(emulator.endpoint))
        tell("deploying the program")
        deployed = up(ROOT, options.stack, config, emulator)
        workloads = workloads_of(
            deployed.cluster, ROOT, folder, painter=options.painter, runtime_url=options.runtime_url
        )
        cluster = LocalCluster(emulator, workloads)
        stack.callback(cluster.stop)
        cluster.start()
        yield System(emulator, deployed, cluster, folder)


def local_config(options: Options, endpoint: str) -> dict[str, Any]:
    """The stack's own configuration with what differs on one machine: an endpoint, its architecture, a free port.

    Nor does a domain of one's own lead here, and a VPC's door is no door of this machine.
    """
    config = {**stack_config(ROOT, options.stack), **(options.overrides or {})}
    config["sd-async:endpoint_url"] = endpoint
    config["sd-async:kubernetes"] = {**config.get("sd-async:kubernetes", {}), "context": "local"}
    config["sd-async:api"] = {**config.get("sd-async:api", {}), **HERE}
    config["sd-async:runtimes"] = [{**runtime, "port": free_port()} for runtime in config["sd-async:runtimes"]]
    config["aws:region"] = aws.REGION
    return config
