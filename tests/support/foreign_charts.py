"""Charts of others, as the example stacks would release them: rendered by helm and judged as the API server would.

`python -m tests.support.foreign_charts DIR` does it for the unpacked charts in DIR: `DIR/karpenter`, `DIR/keda`,
`DIR/aws-for-fluent-bit`, each in the version that the stacks release.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.runtime import CHART as OWN_CHART
from components.settings import parse
from local import helm
from tests.support.engine import ROOT, evaluate, settings_of
from tests.support.manifests import CHECKER
from tests.support.translation import STACKS, stack_file

RELEASE = "kubernetes:helm.sh/v3:Release"
BESIDE = ROOT.parent / "shared" / "charts"
FOLDER_VARIABLE = "SD_ASYNC_CHARTS"
WAIT_S = 120  # a release takes 3 s; the rest is for a busy machine

Json = dict[str, Any]


class ForeignChartError(RuntimeError):
    """A chart can't be judged; the message is one sentence with the way out."""


class ChartMissingError(ForeignChartError):
    """It is not where it was looked for."""


@dataclass(frozen=True)
class Released:
    """What a stack would release. chart: its name, without a registry. kubernetes: version of the stack's cluster."""

    stack: str
    chart: str
    version: str
    name: str
    namespace: str
    values: Json
    kubernetes: str


@dataclass(frozen=True)
class Rendered:
    """text: of all objects, as helm wrote them. unknown: paths of our values that the chart's own know nothing of.

    version: of the chart that was there.
    """

    released: Released
    version: str
    text: str
    unknown: tuple[str, ...]

    @property
    def objects(self) -> list[Json]:
        return [each for each in yaml.load_all(self.text, Loader=yaml.CSafeLoader) if each]

    @property
    def images(self) -> set[str]:
        """Of all containers of all pods."""
        specs = [each["spec"]["template"]["spec"] for each in self.objects if "template" in (each.get("spec") or {})]
        return {one["image"] for spec in specs for key in ("initContainers", "containers") for one in spec.get(key, [])}


def folder_of(environment: Mapping[str, str]) -> Path | None:
    """Where the charts are: named by the environment, else beside the repository; None when neither is there."""
    named = environment.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    return BESIDE if BESIDE.is_dir() else None


def released(stack: str) -> list[Released]:
    """All that a stack releases but the runtimes. Evaluates the whole program."""
    config = settings_of(stack_file(stack))
    engine, settings = evaluate(config, stack=stack), parse("sd-async", stack, config)
    return [
        Released(
            stack=stack,
            chart=one["chart"].rpartition("/")[2],
            version=one["version"],
            name=one["name"],
            namespace=one["namespace"],
            values=one["values"],
            kubernetes=settings.cluster.version,
        )
        for one in engine.inputs(RELEASE)
        if one["chart"] != OWN_CHART
    ]


def render(one: Released, folder: Path, accepted: Mapping[str, str] = {}) -> Rendered:
    """The release, rendered for the clusters' Kubernetes, with what the chart defines.

    accepted: versions that do for the pinned ones, by chart. Raises: ChartMissingError, ForeignChartError, ChartError,
    HelmMissingError.
    """
    place = folder / one.chart
    if not (place / "Chart.yaml").is_file():
        raise ChartMissingError(f"{folder} holds no chart {one.chart}: unpack {one.version} of it into {place}.")
    found = str(yaml.safe_load((place / "Chart.yaml").read_text())["version"])
    if found not in (one.version, accepted.get(one.chart)):
        raise ForeignChartError(
            f"{place} is version {found} and the stack {one.stack} releases {one.version}: unpack that one there, or "
            f"look at this one by --accept {one.chart}={found}."
        )
    command = ["template", one.name, str(place), "--namespace", one.namespace, "--kube-version", one.kubernetes]
    text = helm.run([*command, "--include-crds", "--values", "-"], json.dumps(one.values))
    defaults = yaml.safe_load((place / "values.yaml").read_text())
    return Rendered(one, found, text, tuple(_unknown(one.values, defaults)))


def refusals(made: Rendered) -> list[str]:
    """What the API server would refuse, a line each. Raises: ForeignChartError, where there is no checker."""
    if not CHECKER.exists():
        raise ForeignChartError("There is no ../shared/tools/check_manifests.py beside this repository.")
    done = subprocess.run(
        [sys.executable, str(CHECKER), "--kube-version", made.released.kubernetes],
        input=made.text,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def _unknown(values: Json, defaults: Json, path: str = "") -> Iterator[str]:
    """Helm takes a misspelt value in silence. A section that is empty in the chart's own is for its user to fill."""
    for name, value in values.items():
        if name not in defaults:
            yield f"{path}{name}"
        elif isinstance(value, dict) and isinstance(defaults[name], dict) and defaults[name]:
            yield from _unknown(value, defaults[name], f"{path}{name}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 when nothing would be refused, 1 when something would, 2 when that can't be said."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.foreign_charts", description=__doc__)
    parser.add_argument("folder", type=Path, help="of the unpacked charts")
    parser.add_argument("--accept", action="append", default=[], metavar="CHART=VERSION", help="beside the pinned one")
    given = parser.parse_args(arguments)
    accepted = dict(each.split("=", 1) for each in given.accept)
    try:
        problems = sum(_told(stack, given.folder, accepted) for stack in STACKS)
    except (ForeignChartError, helm.ChartError, helm.HelmMissingError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 1 if problems else 0


def _told(stack: str, folder: Path, accepted: Mapping[str, str]) -> int:
    """Number of problems of a stack, each told."""
    problems = 0
    for one in released(stack):
        made = render(one, folder, accepted)
        found = [*refusals(made), *(f"the chart has no value {path}" for path in made.unknown)]
        problems += len(found)
        title = f"{stack}: {one.chart} {made.version}: {len(made.objects)} objects, {len(found)} problems"
        sys.stdout.write("".join(f"{line}\n" for line in (title, *(f"  {each}" for each in found))))
        sys.stdout.flush()
    return problems


if __name__ == "__main__":
    sys.exit(main())
