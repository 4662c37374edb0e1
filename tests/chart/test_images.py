"""The images: what goes into the agent's, who they run as, and what hadolint says."""

import re
import subprocess
from pathlib import Path

import pytest

from bench import image_size
from local.helm import ROOT
from tests.chart import rendering
from tests.support.scanners import scanner
from tests.test_rooms import PACKAGES, PROJECT, imported

AGENT = ROOT / "agent" / "Dockerfile"
DOCKERFILES = [AGENT, *sorted((ROOT / "images").glob("*/Dockerfile"))]


def lines(path: Path, instruction: str) -> list[str]:
    return re.findall(rf"^{instruction} (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\\n]+)", text, re.MULTILINE))


def test_there_are_three_images() -> None:
    assert [str(path.relative_to(ROOT)) for path in DOCKERFILES] == [
        "agent/Dockerfile",
        "images/a1111/Dockerfile",
        "images/comfyui/Dockerfile",
    ]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_runs_without_root_and_from_a_released_base(path: Path) -> None:
    assert int(lines(path, "USER")[-1].partition(":")[0]) > 0
    bases = [base for _, base in (line.split("=", 1) for line in lines(path, "ARG") if "_IMAGE=" in line)]
    assert bases, "a release may replace them by newer ones"
    assert all(re.search(r":(?!latest)[\w.-]+(@sha256:[0-9a-f]{64})?$", base) for base in bases)


def test_the_agents_bases_are_named_by_their_digests() -> None:
    bases = [line.partition("=")[2] for line in lines(AGENT, "ARG") if "_IMAGE=" in line]
    assert len(bases) == 2
    assert all(re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", base) for base in bases)


def test_the_agents_packages_are_those_that_were_tested() -> None:
    image, tested = pinned("agent.lock"), pinned("dev.lock")
    assert len(image) > 10
    assert {name: tested.get(name) for name in image} == image


def test_the_agents_image_holds_what_the_agent_imports() -> None:
    files = [*(ROOT / "agent").rglob("*.py"), *(ROOT / "sd_async" / "contract").rglob("*.py")]
    tops = {
        module.partition(".")[0]
        for path in files
        for _, module in imported(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    }
    foreign = {PACKAGES.get(top, top) for top in tops - set(PROJECT)}
    named = pinned("agent.in")
    wanted = {name for name in foreign if name in pinned("dev.in")}
    assert wanted == set(named)


def test_the_agents_image_is_no_larger_than_60_mb_compressed() -> None:
    application_mb, whole_mb = image_size.image_mb()
    assert application_mb > 20, "botocore alone is 16"
    assert whole_mb <= image_size.LIMIT_MB == 60


def test_what_the_agents_image_copies_is_there() -> None:
    ignored = (AGENT.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for source in (line.split()[0] for line in lines(AGENT, "COPY") if not line.startswith("--from")):
        assert (ROOT / source).exists()
        assert any(source == rule[1:] or source.startswith(f"{rule[1:]}/") for rule in ignored if rule[0] == "!")


def test_the_chart_asks_the_agents_image_for_modules_that_it_has() -> None:
    assert lines(AGENT, "ENTRYPOINT") == ['["/usr/bin/python3", "-m"]']
    assert lines(AGENT, "CMD") == ['["agent"]']
    [module] = rendering.init_containers(models__mode="copy", models__bucket="models")["models"]["args"]
    assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists()
    assert "args" not in rendering.agent()


def test_the_agents_image_and_the_chart_agree_on_its_user() -> None:
    context = rendering.agent()["securityContext"]
    assert lines(AGENT, "USER")[-1] == f"{context['runAsUser']}:{context['runAsGroup']}"


@pytest.mark.parametrize("path", DOCKERFILES[1:], ids=lambda path: path.parent.name)
def test_a_runtimes_image_and_the_chart_agree_on_its_user(path: Path) -> None:
    context = rendering.runtime()["securityContext"]
    assert lines(path, "USER")[-1] == f"{context['runAsUser']}:{context['runAsGroup']}"


@pytest.mark.parametrize("path", DOCKERFILES[1:], ids=lambda path: path.parent.name)
def test_a_runtime_ends_when_it_is_told(path: Path) -> None:
    assert lines(path, "STOPSIGNAL") == ["SIGINT"], "Python as the first process handles no other"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    command = [scanner("hadolint"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
