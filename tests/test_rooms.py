"""Who may import whom: the table of rooms as data, and every import of every file held against it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = ("__main__", "agent", "bench", "components", "functions", "local", "ops", "program", "sd_async", "tests")


@dataclass(frozen=True, kw_only=True)
class Room:
    """files: patterns of paths; the first room that matches a file has it.

    own: modules of this project, each with what lies below it. foreign: packages by the name they are imported by.
    Both may be patterns.
    """

    files: tuple[str, ...]
    own: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


PURE = ("settings", "naming", "addressing", "policies", "scaling", "alarms")
# The rest of the pure files: settings' and the chart's own halves, the API's answer texts, the Lambda bundle (0008).
PURE_FILES = (
    *PURE,
    *(f"settings_{part}" for part in ("cluster", "docs", "platform", "runtimes")),
    *("schema", "chart_values", "answers", "bundle", "cluster_policies", "gpu_taint", "nodepools", "prices"),
    *("asking", "price_list", "queue_times"),
    *(f"image_{part}" for part in ("contexts", "copies", "policies")),
)
PURE_MODULES = tuple(f"components.{name}" for name in PURE_FILES)
# What asks AWS itself, for `pulumi up` and for an operator's command: the only files of components that know boto3
# (0084, 0125).
AT_AWS = ("components.image_codebuild", "components.image_sweep", "components.interface_sweep")
AT_AWS_FILES = tuple(f"{name.replace('.', '/')}.py" for name in AT_AWS)
CONTRACT = "sd_async.contract"
BOTO = ("boto3", "botocore", "mypy_boto3_*")
PULUMI = ("pulumi", "pulumi_*")
CLIENT = ("client", "config", "download", "errors", "waiting", "wire")
CLIENT_MODULES = tuple(f"sd_async.{name}" for name in CLIENT)
# msgspec is how the contract's values are made and copied, so whoever may use the contract may use it (0008).
STRUCTS = "msgspec"
SERVICE = ("drafts", "env", "openapi", "ports", "publish", "reasons", "routes", "service", "views")
# The worker and its parts: the line before the runtime, the turns at it, the settling after it (0100).
WORKER = ("worker", "attempt", "inputs", "line", "settling", "storing", "turns")

ROOMS: dict[str, Room] = {
    # A program reads its stack and exports its outputs through pulumi itself (0008).
    # and what is too long for its page stands in program/ (0070).
    "program": Room(files=("__main__.py", "program/*.py"), own=("components", "program"), foreign=PULUMI),
    "components, pure": Room(
        files=("components/__init__.py", *(f"components/{name}.py" for name in PURE_FILES)),
        own=(*PURE_MODULES, CONTRACT),
    ),
    "components, api": Room(
        files=("components/api.py",), own=(*PURE_MODULES, CONTRACT, "functions.api.routes"), foreign=PULUMI
    ),
    "components, images at AWS": Room(files=AT_AWS_FILES, own=(*PURE_MODULES, CONTRACT), foreign=BOTO),
    "components, build as a resource": Room(
        files=("components/image_provider.py",), own=(*PURE_MODULES, *AT_AWS), foreign=(*PULUMI, *BOTO)
    ),
    "components, sweep as a resource": Room(
        files=("components/interface_provider.py",),
        own=(*PURE_MODULES, *AT_AWS, "components.image_provider"),
        foreign=PULUMI,
    ),
    "components, cluster": Room(
        files=("components/cluster.py",), own=(*PURE_MODULES, "components.interface_provider"), foreign=PULUMI
    ),
    "components, images": Room(
        files=("components/images.py", "components/image_caches.py"),
        own=(*PURE_MODULES, "components.image_provider"),
        foreign=PULUMI,
    ),
    "components": Room(files=("components/*.py",), own=(*PURE_MODULES, CONTRACT), foreign=PULUMI),
    "sd_async": Room(files=("sd_async/__init__.py",)),
    "sd_async, contract": Room(files=("sd_async/contract/*.py",), own=(CONTRACT,), foreign=(STRUCTS,)),
    "sd_async, client": Room(
        files=tuple(f"sd_async/{name}.py" for name in CLIENT), own=(CONTRACT, *CLIENT_MODULES), foreign=("httpx",)
    ),
    # The client's command hands over to the operator's, where there is one (0082).
    "sd_async, admin": Room(files=("sd_async/admin.py",), own=("sd_async.errors", "ops.cli")),
    "sd_async, command": Room(files=("sd_async/*.py",), own=("sd_async",), foreign=("click", "rich", STRUCTS)),
    "functions, routes": Room(files=("functions/api/routes.py", "functions/__init__.py", "functions/api/__init__.py")),
    "functions, store": Room(
        files=("functions/api/store.py",), own=("functions.api.env", "functions.api.ports", CONTRACT), foreign=BOTO
    ),
    "functions, machines": Room(files=("functions/machines.py",), foreign=BOTO),
    "functions, service": Room(
        files=("functions/log.py", *(f"functions/api/{name}.py" for name in SERVICE)),
        own=("functions.log", *(f"functions.api.{name}" for name in SERVICE), CONTRACT),
        foreign=(STRUCTS,),
    ),
    "functions, handlers": Room(
        files=("functions/api/handler.py", "functions/*.py"), own=("functions", CONTRACT), foreign=(STRUCTS,)
    ),
    "agent, errors": Room(files=("agent/errors.py",), own=(CONTRACT,)),
    "agent, ports": Room(files=("agent/ports.py",), own=("agent.errors", CONTRACT)),
    "agent, core": Room(files=("agent/core/*.py",), own=("agent.core", "agent.errors", CONTRACT)),
    # One place translates botocore for the four AWS edges (0008).
    "agent, aws": Room(files=("agent/aws.py", "agent/boto.py"), own=("agent.boto", "agent.errors"), foreign=BOTO),
    "agent, batches": Room(files=("agent/batching.py",)),
    "agent, edges of AWS": Room(
        files=tuple(f"agent/edges/{name}.py" for name in ("dynamodb", "s3", "sns", "sqs")),
        own=("agent.aws", "agent.batching", "agent.boto", "agent.ports", "agent.errors", CONTRACT),
        foreign=BOTO,
    ),
    # One place speaks HTTP to the runtime on the loopback (0102).
    "agent, neighbour": Room(files=("agent/neighbour.py",), own=("agent.errors",)),
    # ComfyUI tells its progress over a WebSocket (0008).
    "agent, edge of ComfyUI": Room(
        files=("agent/edges/comfyui/*.py",),
        own=("agent.edges.comfyui", "agent.neighbour", "agent.ports", "agent.errors", CONTRACT),
        foreign=("websockets", STRUCTS),
    ),
    "agent, edge of A1111": Room(
        files=("agent/edges/a1111/*.py",),
        own=("agent.edges.a1111", "agent.neighbour", "agent.ports", "agent.errors", CONTRACT),
        foreign=(STRUCTS,),
    ),
    "agent, other edges": Room(
        files=("agent/edges/*.py",), own=("agent.ports", "agent.errors", CONTRACT), foreign=("httpx",)
    ),
    "agent, around the worker": Room(
        files=tuple(f"agent/{name}.py" for name in ("config", "health", "heartbeat", "presence", "race", "watch")),
        # Beside STYLE's three: the one logger, waiting for the first of several tasks (0008), and bounds.
        own=("agent.core", "agent.errors", "agent.ports", "agent.telemetry", "agent.race", CONTRACT),
    ),
    # Spans and their way to a collector are loaded only where one is named (0111).
    "agent, traces": Room(
        files=("agent/telemetry/traces.py", "agent/telemetry/otlp.py"),
        own=("agent.telemetry.closing", CONTRACT),
        foreign=("opentelemetry",),
    ),
    "agent, telemetry": Room(
        files=("agent/telemetry/*.py",),
        own=("agent.errors", "agent.ports", "agent.telemetry", CONTRACT),
        foreign=("prometheus_client",),
    ),
    # Puts health, metrics and traces around the worker's ports (0110).
    "agent, observing": Room(
        files=("agent/observing.py",),
        own=(
            *(f"agent.{name}" for name in ("attempt", "config", "health", "ports", "presence", "race")),
            *(f"agent.{name}" for name in ("telemetry", "watch")),
            "sd_async",
        ),
    ),
    # Pillow is loaded in a process of its own (0104).
    "agent, encoder": Room(
        files=("agent/outputs/encoder.py", "agent/outputs/embedded.py"),
        own=("agent.outputs.embedded",),
        foreign=("PIL",),
    ),
    "agent, outputs": Room(
        files=("agent/outputs/*.py",), own=("agent.core", "agent.errors", "agent.outputs", CONTRACT), foreign=(STRUCTS,)
    ),
    "agent, worker": Room(
        files=("agent/__init__.py", *(f"agent/{name}.py" for name in WORKER)),
        own=(
            "agent.outputs",
            *(f"agent.{name}" for name in WORKER),
            *(f"agent.{name}" for name in ("config", "core", "errors", "health", "heartbeat", "ports")),
            *(f"agent.{name}" for name in ("race", "telemetry")),
            CONTRACT,
        ),
        foreign=(STRUCTS,),
    ),
    # A program of its own in the agent's image: models to disk through the AWS CRT (0091).
    "agent, models": Room(files=("agent/fetch_models.py",), foreign=(*BOTO, "s3transfer", "awscrt")),
    # Another one, which takes a startup taint off its node (0128).
    "agent, node": Room(files=("agent/gpu_ready.py",)),
    "agent, process": Room(files=("agent/__main__.py",), own=("agent", CONTRACT)),
    "ops, command": Room(
        files=("ops/cli.py", "ops/stacks.py"),
        # helm is found, or fetched, in one place; builds at AWS are begun as `pulumi up` does (0085)
        own=("ops", "local.helm", *AT_AWS, *PURE_MODULES, CONTRACT),
        foreign=(*BOTO, "click", "rich", "yaml"),
    ),
    "ops": Room(files=("ops/*.py",), own=("ops", *AT_AWS, *PURE_MODULES, CONTRACT), foreign=BOTO),
    "local": Room(files=("local/*.py",), own=PROJECT, foreign=("*",)),
    "bench": Room(files=("bench/*.py",), own=PROJECT, foreign=("*",)),
    "tests": Room(files=("tests/*.py",), own=PROJECT, foreign=("*",)),
}

# Imported by a name that is not its package's, or part of what that package shows its users.
PACKAGES = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "botocore": "boto3",
    "s3transfer": "boto3",
    "multidict": "aiohttp",
    "cel": "common-expression-language",
    "google": "protobuf",
    "grpc": "pulumi",
    "opentelemetry": "opentelemetry-sdk",
    "prometheus_client": "prometheus-client",
}


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(name for name in listed.splitlines() if (ROOT / name).exists())


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def imported(path: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and module of every import; of `from package import module` the module, not the package."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(Path(path).parts[: -node.level]) if node.level else ""
            base = ".".join(part for part in (package, node.module) if part)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if is_module(full) else base
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((node.lineno, str(item.value)) for item in node.args[:1] if isinstance(item, ast.Constant))


def wanted() -> list[str]:
    text = (ROOT / "requirements" / "dev.in").read_text(encoding="utf-8")
    return re.findall(r"^[A-Za-z][\w.-]*", text, re.MULTILINE)


def room_of(path: str) -> str | None:
    return next((name for name, room in ROOMS.items() if any(fnmatchcase(path, file) for file in room.files)), None)


def may_import(room: Room, module: str) -> bool:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names and top not in PROJECT:
        return True
    if top in PROJECT:
        return any(module == allowed or module.startswith(f"{allowed}.") for allowed in room.own)
    return any(fnmatchcase(top, allowed) for allowed in room.foreign)


def violations(path: str, source: str) -> list[str]:
    name = room_of(path)
    if name is None:
        return [f"{path} is in no room; give it one in {Path(__file__).name}"]
    found = imported(path, source)
    return [f"{path}:{line} ({name}) imports {module}" for line, module in found if not may_import(ROOMS[name], module)]


def test_every_import_stays_within_what_its_room_may_use() -> None:
    assert len(tracked()) > 50, "an empty list would prove nothing"
    found = [each for path in tracked() for each in violations(path, (ROOT / path).read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("components/storage.py", "from components.messaging import Messaging"),
        ("components/storage.py", "from components import messaging"),
        ("components/storage.py", "import boto3"),
        ("components/images.py", "import boto3"),
        ("components/image_codebuild.py", "import pulumi"),
        ("components/storage.py", "from functions.api.routes import ROUTES"),
        ("components/api.py", "from functions.api import service"),
        ("components/naming.py", "import pulumi"),
        ("components/bundle.py", "import pulumi_aws as aws"),
        ("__main__.py", "from functions.api.routes import ROUTES"),
        ("sd_async/contract/jobs.py", "import httpx"),
        ("sd_async/contract/jobs.py", "from sd_async import client"),
        ("sd_async/contract/jobs.py", "from .. import client"),
        ("sd_async/client.py", "import rich"),
        ("sd_async/client.py", "from sd_async.cli import cli"),
        ("sd_async/__init__.py", "import msgspec"),
        ("functions/api/service.py", "import boto3"),
        ("functions/api/service.py", "from functions.api.handler import Api"),
        ("functions/api/routes.py", "from sd_async.contract.jobs import Job"),
        ("functions/dead_letter.py", "from agent.core import settle"),
        ("agent/worker.py", "import functions"),
        ("agent/worker.py", "from agent.edges.sqs import SqsQueue"),
        ("agent/worker.py", "def late():\n    from agent import edges"),
        ("agent/worker.py", "import importlib\nimportlib.import_module('agent.edges.sqs')"),
        ("agent/core/settle.py", "from agent.config import Config"),
        ("agent/edges/sqs.py", "from agent.edges.sns import SnsTopic"),
        ("agent/edges/sqs.py", "from agent.config import Config"),
        ("agent/edges/sqs.py", "import httpx"),
        ("agent/heartbeat.py", "import boto3"),
        ("ops/preflight.py", "from components.storage import Storage"),
        ("somewhere/else.py", "import json"),
        ("top.py", ""),
    ],
)
def test_a_file_that_reaches_too_far_is_caught(path: str, source: str) -> None:
    assert violations(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "components/storage.py",
            "import json, pulumi_aws\nfrom components import naming\nfrom components.settings import X",
        ),
        ("components/api.py", "from functions.api.routes import ROUTES"),
        (
            "sd_async/contract/jobs.py",
            "import msgspec\nfrom sd_async.contract.states import Status\nfrom . import states",
        ),
        (
            "agent/edges/comfyui/graph.py",
            "from agent.edges.comfyui.outputs import File\nimport websockets.asyncio.client",
        ),
        ("agent/core/settle.py", "from sd_async.contract import jobs\nfrom agent.errors import JobError"),
        ("ops/preflight.py", "import boto3\nfrom components import naming"),
        ("local/run.py", "import aiohttp\nfrom agent.worker import Worker"),
    ],
)
def test_a_file_that_keeps_to_its_room_is_left_alone(path: str, source: str) -> None:
    assert violations(path, source) == []


def test_agents_and_functions_never_know_each_other() -> None:
    for name, room in ROOMS.items():
        if name.startswith(("agent", "functions")):
            other = "functions" if name.startswith("agent") else "agent"
            assert not any(module == other or module.startswith(f"{other}.") for module in room.own)


def test_every_package_that_is_imported_is_one_that_we_chose() -> None:
    chosen = {name.lower().replace("-", "_") for name in wanted()}
    tops = {
        module.partition(".")[0]
        for path in tracked()
        for _, module in imported(path, (ROOT / path).read_text(encoding="utf-8"))
    }
    foreign = {top for top in tops if top not in sys.stdlib_module_names and top not in PROJECT}
    names = {PACKAGES.get(top, top).replace("-", "_") for top in foreign if not top.startswith("mypy_boto3_")}
    assert names <= chosen, "a package that comes along with another may go away with it"


def test_every_package_that_we_chose_has_its_reason() -> None:
    pages = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "decisions").glob("*.md"))
    missing = [name for name in wanted() if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", pages)]
    assert not missing, "docs/decisions/0001-direct-dependencies.md is where a reason goes"
