"""The scripts that CodeBuild runs, with docker and aws that only write down what they are told."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.engine import ROOT

REPOSITORY = "123456789012.dkr.ecr.us-west-2.amazonaws.com/sd-async-dev/agent"
# Reads what it is given, as the real one: who writes to a pipe that nobody reads is ended by a signal
DOCKER = '[ "$1" != login ] || cat > /dev/null\ncase "$*" in *"$REFUSED"*) exit 1 ;; esac\n'
WRITES_DOWN = '#!/bin/sh\necho "$(basename "$0") $*" >> "$CALLS"\n'


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    for name, more in (("aws", "echo secret\n"), ("docker", DOCKER)):
        (tmp_path / name).write_text(WRITES_DOWN + more)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def built(tools: Path, platforms: str, refused: str = "nothing at all", **more: str) -> tuple[int, list[str]]:
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "CALLS": str(tools / "calls"),
        "REFUSED": refused,
        "REPOSITORY": REPOSITORY,
        "TAG": "src-1",
        "DOCKERFILE": "agent/Dockerfile",
        "CONTEXT": ".",
        "PLATFORMS": platforms,
        "CODEBUILD_BUILD_NUMBER": "7",
        **more,
    }
    done = subprocess.run(
        ["bash", ROOT / "images/build.sh"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, (tools / "calls").read_text().splitlines()


def test_each_platform_is_pushed_and_all_of_them_get_one_tag(tools: Path) -> None:
    code, calls = built(tools, "linux/amd64 linux/arm64")
    parts = [f"{REPOSITORY}:src-1-{name}-7" for name in ("amd64", "arm64")]
    assert code == 0
    assert sorted(calls[:2]) == [
        "aws ecr get-login-password",
        "docker login --username AWS --password-stdin 123456789012.dkr.ecr.us-west-2.amazonaws.com",
    ]
    assert calls[2:] == [
        f"docker buildx build --platform linux/amd64 --file agent/Dockerfile --tag {parts[0]} --load .",
        f"docker push --quiet {parts[0]}",
        f"docker buildx build --platform linux/arm64 --file agent/Dockerfile --tag {parts[1]} --load .",
        f"docker push --quiet {parts[1]}",
        f"docker buildx imagetools create --tag {REPOSITORY}:src-1 {parts[0]} {parts[1]}",
    ]


@pytest.mark.parametrize("refused", ["login", "linux/arm64", "push"])
def test_a_step_that_fails_ends_the_build_before_the_tag_is_given(tools: Path, refused: str) -> None:
    code, calls = built(tools, "linux/amd64 linux/arm64", refused)
    assert code == 1
    assert not [call for call in calls if "imagetools" in call]


def test_with_a_cache_of_docker_hub_bases_come_from_there(tools: Path) -> None:
    code, calls = built(tools, "linux/amd64", DOCKER_HUB="registry.example/sd-async-dev/docker-hub")
    [build] = [call for call in calls if "buildx build" in call]
    assert code == 0
    assert "--build-arg HUB=registry.example/sd-async-dev/docker-hub ." in build
    [base] = [
        line for line in (ROOT / "images/comfyui/Dockerfile").read_text().splitlines() if "ARG BASE_IMAGE" in line
    ]
    assert base.startswith("ARG BASE_IMAGE=${HUB}/")


def copied(tools: Path, refused: str = "nothing at all") -> tuple[int, list[str]]:
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "CALLS": str(tools / "calls"),
        "REFUSED": refused,
        "REPOSITORY": REPOSITORY,
        "TAG": "2.21.1",
        "SOURCE": "ghcr.io/kedacore/keda:2.21.1",
    }
    done = subprocess.run(
        ["bash", ROOT / "images/copy.sh"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, (tools / "calls").read_text().splitlines()


def test_a_copy_is_one_step_that_keeps_every_platform_and_the_digest(tools: Path) -> None:
    code, calls = copied(tools)
    assert code == 0
    assert [call for call in calls if not call.startswith(("aws", "docker login"))] == [
        f"docker buildx imagetools create --prefer-index=false --tag {REPOSITORY}:2.21.1 ghcr.io/kedacore/keda:2.21.1"
    ]
    assert f"docker login --username AWS --password-stdin {REPOSITORY.partition('/')[0]}" in calls


@pytest.mark.parametrize("refused", ["login", "imagetools"])
def test_a_copy_that_fails_is_a_build_that_fails(tools: Path, refused: str) -> None:
    code, _ = copied(tools, refused)
    assert code == 1
