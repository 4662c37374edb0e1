"""The same inputs are the same image: every byte has a say in the tag, and nothing else has."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.image_contexts import AGENT, Context, ContextError, context, contexts, copying, recipe, wanted
from components.image_copies import Copy
from components.settings_cluster import NEEDED_WITHOUT_NAT
from sd_async.contract.jobs import RuntimeType
from tests.components.example import CONFIG, stack
from tests.support.engine import ROOT

IMAGES = (AGENT, *sorted(RuntimeType))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the images are built from, to be changed."""
    debris = shutil.ignore_patterns("__pycache__")
    for folder in ("agent", "images", "sd_async", "requirements"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=debris)
    return tmp_path


def entries(made: Context) -> dict[str, bytes]:
    with zipfile.ZipFile(made.archive) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("image", IMAGES)
def test_a_context_holds_its_dockerfile_and_what_builds_it(project: Path, image: str) -> None:
    made = context(project, image)
    found = entries(made)
    assert found[made.recipe.dockerfile] == (project / made.recipe.dockerfile).read_bytes()
    assert found["buildspec.yml"] == (project / "images/buildspec.yaml").read_bytes()
    assert "images/build.sh" in found


def test_everything_that_the_agents_dockerfile_copies_is_in_its_context(project: Path) -> None:
    found = entries(context(project, AGENT))
    lines = [line.split() for line in (project / "agent/Dockerfile").read_text().splitlines()]
    copied = [line[1] for line in lines if line[:1] == ["COPY"] and not line[1].startswith("--")]
    assert len(copied) == 4
    for source in copied:
        assert [name for name in found if name == source or name.startswith(f"{source}/")], source
    assert "agent/Dockerfile.dockerignore" in found
    assert not [name for name in found if name.startswith("sd_async/cli")], "an image is no reason to send the client"


@pytest.mark.parametrize("image", IMAGES)
def test_the_same_inputs_are_the_same_bytes_wherever_they_lie(project: Path, tmp_path: Path, image: str) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(project, other, ignore=shutil.ignore_patterns("elsewhere"))
    first, second = context(project, image), context(other, image)
    assert first.tag == second.tag
    assert first.archive.read_bytes() == second.archive.read_bytes()


def grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"#")


CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a byte of its Dockerfile": ("agent", lambda at: grown(at / "agent/Dockerfile")),
    "a byte of its code": ("agent", lambda at: grown(at / "agent/worker.py")),
    "a new file of its code": ("agent", lambda at: (at / "sd_async/contract/more.py").write_text("")),
    "a package of another version": ("agent", lambda at: grown(at / "requirements/agent.lock")),
    "another buildspec": ("comfyui", lambda at: grown(at / "images/buildspec.yaml")),
    "another script": ("comfyui", lambda at: grown(at / "images/build.sh")),
    "a byte of a runtime's Dockerfile": ("comfyui", lambda at: grown(at / "images/comfyui/Dockerfile")),
}


@pytest.mark.parametrize(("image", "change"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_input_is_another_image(project: Path, image: str, change: Callable[[Path], object]) -> None:
    before = context(project, image)
    change(project)
    after = context(project, image)
    assert after.tag != before.tag
    assert after.archive != before.archive


UNSEEN: dict[str, Callable[[Path], object]] = {
    "bytecode": lambda at: (at / "agent/x.pyc").write_bytes(b""),
    "an editor's file": lambda at: (at / "agent/.worker.py.swp").write_bytes(b""),
    "the client": lambda at: grown(at / "sd_async/cli.py"),
    "another image": lambda at: grown(at / "images/comfyui/Dockerfile"),
    "the time": lambda at: (at / "agent/worker.py").touch(),
}


@pytest.mark.parametrize("change", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_is_no_input_changes_nothing(project: Path, change: Callable[[Path], object]) -> None:
    before = context(project, AGENT)
    change(project)
    assert context(project, AGENT) == before


def test_a_type_without_a_dockerfile_is_refused_with_the_way_out(project: Path) -> None:
    (project / "images/a1111/Dockerfile").unlink()
    with pytest.raises(ContextError, match="no images/a1111/Dockerfile to build the image of a1111: name a built one"):
        context(project, "a1111")


def test_the_agent_is_built_for_both_architectures_and_runtimes_for_that_of_the_gpus() -> None:
    assert recipe(AGENT).platforms == ("linux/amd64", "linux/arm64")
    assert all(recipe(kind).platforms == ("linux/amd64",) for kind in RuntimeType)


def test_only_what_no_setting_names_is_built_and_two_runtimes_of_a_type_share_an_image() -> None:
    plain = {"name": "sd15", "type": "comfyui"}
    assert wanted(stack()) == ()
    assert wanted(stack(agent={}, runtimes=[plain, {**plain, "name": "other"}])) == ("agent", "comfyui")
    assert wanted(stack(runtimes=[plain, CONFIG["sd-async:runtimes"][1]])) == ("comfyui",)


COPY = Copy("keda", "ghcr.io/kedacore/keda", "2.21.1")


def test_a_copys_zip_holds_what_copies_and_nothing_to_build(project: Path) -> None:
    with zipfile.ZipFile(copying(project, COPY).archive) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {
        "buildspec.yml": (project / "images/copy.yaml").read_bytes(),
        "images/copy.sh": (project / "images/copy.sh").read_bytes(),
    }


def test_a_copy_has_the_tag_of_its_source_whatever_copies_it(project: Path) -> None:
    before = copying(project, COPY)
    assert before.order["copy_of"] == "ghcr.io/kedacore/keda:2.21.1"
    grown(project / "images/copy.sh")
    after = copying(project, COPY)
    assert before.order["tag"] == after.order["tag"] == "2.21.1"
    assert after.archive != before.archive, "and so the zip of the other script is sent"


def test_what_copies_is_no_input_of_what_is_built(project: Path) -> None:
    before = context(project, AGENT)
    grown(project / "images/copy.sh")
    grown(project / "images/copy.yaml")
    assert context(project, AGENT) == before


def test_a_stack_with_no_way_out_makes_copies_beside_what_it_builds() -> None:
    private = stack(
        agent={},
        network={"nat": "none", "endpoints": list(NEEDED_WITHOUT_NAT)},
        cluster={"create": True},
        observability={"logs": "none"},
    )
    assert list(contexts(ROOT, private)) == ["agent", "karpenter", "keda", "keda-metrics", "keda-webhooks"]
    assert contexts(ROOT, stack()) == {}
