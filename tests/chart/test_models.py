"""How models come to the runtime: mounted, copied, or in its image."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import rendering

BUCKET = {"models__bucket": "models-1", "models__prefix": "comfy/"}
MOUNT: dict[str, Any] = {"models__mode": "mount", **BUCKET}
COPY: dict[str, Any] = {"models__mode": "copy", **BUCKET}
NODES: dict[str, Any] = {"extensions__image": {"repository": "registry.example/nodes", "tag": "1"}}


def paths(**changes: Any) -> dict[str, dict[str, str]]:
    read: dict[str, dict[str, str]] = yaml.safe_load(
        rendering.objects(**changes)["ConfigMap"]["data"]["extra_model_paths.yaml"]
    )
    return read


def mounts(container: dict[str, Any]) -> dict[str, str]:
    return {item["mountPath"]: item["name"] for item in container["volumeMounts"]}


def test_a_claim_that_exists_is_used_and_no_volume_is_made() -> None:
    existing: dict[str, Any] = {"models__mode": "mount", "models__mount__claim": "models-sd15"}
    assert {"PersistentVolume", "PersistentVolumeClaim"}.isdisjoint(rendering.objects(**existing))
    assert rendering.volumes(**existing)["models"]["persistentVolumeClaim"]["claimName"] == "models-sd15"


def test_models_in_the_image_need_nothing() -> None:
    assert list(rendering.init_containers()) == ["runtime"]
    assert set(rendering.volumes()) == {"scratch", "data", "tmp"}
    assert "--extra-model-paths-config" not in rendering.runtime()["args"]


def test_a_mount_is_a_read_only_volume_with_a_bounded_cache() -> None:
    volume = rendering.objects(**MOUNT)["PersistentVolume"]
    claim = rendering.objects(**MOUNT)["PersistentVolumeClaim"]
    spec = volume["spec"]
    assert spec["csi"]["driver"] == "s3.csi.aws.com"
    assert spec["csi"]["volumeAttributes"] == {
        "bucketName": "models-1",
        "authenticationSource": "driver",
        "cache": "emptyDir",
        "cacheEmptyDirSizeLimit": "50Gi",
    }
    assert {"read-only", "allow-other", "prefix comfy/", "region us-west-2"} <= set(spec["mountOptions"])
    assert spec["accessModes"] == claim["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert spec["storageClassName"] == claim["spec"]["storageClassName"] == ""
    assert spec["claimRef"]["name"] == claim["metadata"]["name"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert rendering.volumes(**MOUNT)["models"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert mounts(rendering.runtime(**MOUNT))["/models"] == "models"


def test_a_volume_is_one_of_a_kind_and_another_bucket_makes_another() -> None:
    """Handles are unique in a cluster, and a PersistentVolume's source can't be changed by an upgrade."""

    def handle(**changes: Any) -> str:
        return str(rendering.objects(**{**MOUNT, **changes})["PersistentVolume"]["spec"]["csi"]["volumeHandle"])

    assert handle().startswith("sd-async-comfy-models-")
    assert len({handle(), handle(models__bucket="models-2"), handle(models__prefix=""), handle(runtime__uid=2)}) == 4
    assert handle() == handle(runtime__port=9000)


def test_copying_comes_before_the_runtime_and_ends() -> None:
    assert list(rendering.init_containers(**COPY)) == ["models", "runtime"]
    copier = rendering.init_containers(**COPY)["models"]
    assert "restartPolicy" not in copier
    assert copier["args"] == ["agent.fetch_models"]
    assert mounts(copier)["/models"] == mounts(rendering.runtime(**COPY))["/models"] == "models"
    assert rendering.volumes(**COPY)["models"] == {"name": "models", "emptyDir": {"sizeLimit": "100Gi"}}


def test_the_copier_is_told_what_to_copy() -> None:
    changes = {**COPY, "models__copy__include": ["Lora/*"], "models__folders__clipVision": ""}
    env = {item["name"]: item["value"] for item in rendering.init_containers(**changes)["models"]["env"]}
    assert env == {
        "SD_MODELS_BUCKET": "models-1",
        "SD_MODELS_PREFIX": "comfy/",
        "SD_MODELS_FOLDERS": "ControlNet,ESRGAN,Lora,Stable-diffusion,VAE,diffusion_models,embeddings,text_encoders",
        "SD_MODELS_INCLUDE": "Lora/*",
        "SD_MODELS_TARGET": "/models",
        "SD_MODELS_GBPS": "10",
        "SD_MODELS_REFRESH_S": "0",
        "AWS_REGION": "us-west-2",
    }


def test_new_models_are_looked_for_beside_the_runtime() -> None:
    containers = rendering.init_containers(**COPY, models__copy__refreshSeconds=60)
    assert list(containers) == ["models", "runtime", "models-refresh"]
    refresh = containers["models-refresh"]
    assert refresh["restartPolicy"] == "Always"
    assert {"name": "SD_MODELS_REFRESH_S", "value": "60"} in refresh["env"]


@pytest.mark.parametrize("changes", [MOUNT, COPY], ids=["mount", "copy"])
def test_comfyui_reads_the_buckets_folders(changes: dict[str, Any]) -> None:
    assert paths(**changes)["bucket"] == {
        "base_path": "/models",
        "checkpoints": "Stable-diffusion",
        "loras": "Lora",
        "vae": "VAE",
        "embeddings": "embeddings",
        "upscale_models": "ESRGAN",
        "controlnet": "ControlNet",
        "diffusion_models": "diffusion_models",
        "text_encoders": "text_encoders",
        "clip_vision": "clip_vision",
    }
    args = rendering.runtime(**changes)["args"]
    assert args[args.index("--extra-model-paths-config") + 1] == "/model-paths/extra_model_paths.yaml"
    assert mounts(rendering.runtime(**changes))["/model-paths"] == "model-paths"


FOLDER_PATHS = """
import os

filename_list_cache = {}


def get_filename_list(folder):
    kept = filename_list_cache.get(folder)
    if kept is None or any(os.path.getmtime(each) != at for each, at in kept[1].items()):
        kept = (sorted(os.listdir(folder)), {folder: os.path.getmtime(folder)}, 0.0)
        filename_list_cache[folder] = kept
    return list(kept[0])
"""

NEW_MODEL = """
import os
import sys

import folder_paths
import fresh_models

folder = sys.argv[1]
assert folder_paths.get_filename_list(folder) == []
at = os.stat(folder).st_mtime_ns
open(os.path.join(folder, "new.safetensors"), "w").close()
os.utime(folder, ns=(at, at))
assert folder_paths.get_filename_list(folder) == [], "a folder of Mountpoint's keeps its time"
fresh_models.age()
assert folder_paths.get_filename_list(folder) == ["new.safetensors"]
assert fresh_models.NODE_CLASS_MAPPINGS == {}
"""


def test_a_model_that_is_new_in_a_mounted_bucket_is_seen_without_a_restart(tmp_path: Path) -> None:
    """The list as ComfyUI 0.3.64's folder_paths.py keeps it, of a folder that keeps its time as Mountpoint's do."""
    node = rendering.objects(**MOUNT)["ConfigMap"]["data"]["fresh_models.py"]
    for name, text in {"fresh_models": node, "folder_paths": FOLDER_PATHS, "new_model": NEW_MODEL}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    (tmp_path / "models").mkdir()
    command = [sys.executable, str(tmp_path / "new_model.py"), str(tmp_path / "models")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_a_mount_brings_comfyui_the_node_that_looks_again() -> None:
    assert paths(**MOUNT)["chart"] == {"custom_nodes": "/chart-nodes"}
    assert mounts(rendering.runtime(**MOUNT))["/chart-nodes/fresh_models.py"] == "model-paths"
    node = rendering.objects(**MOUNT, models__mount__listingSeconds=7)["ConfigMap"]["data"]["fresh_models.py"]
    assert "SECONDS = 7\n" in node


@pytest.mark.parametrize("changes", [COPY, {**MOUNT, "runtime__type": "a1111"}], ids=["copy", "a1111"])
def test_where_folders_change_their_time_or_there_are_no_nodes_nothing_looks_again(changes: dict[str, Any]) -> None:
    assert "/chart-nodes/fresh_models.py" not in mounts(rendering.runtime(**changes))
    assert "fresh_models.py" not in rendering.objects(**changes).get("ConfigMap", {}).get("data", {})


def test_a_folder_without_a_name_is_not_used() -> None:
    assert "loras" not in paths(**MOUNT, models__folders__loras="")["bucket"]


def test_other_folders_make_other_pods() -> None:
    def checksum(**changes: Any) -> str:
        metadata = rendering.objects(**MOUNT, **changes)["Deployment"]["spec"]["template"]["metadata"]
        return str(metadata["annotations"]["checksum/model-paths"])

    assert checksum() != checksum(models__folders__loras="loras")


def test_a1111_gets_the_same_folders_as_flags() -> None:
    args = rendering.runtime(**MOUNT, runtime__type="a1111")["args"]
    flags = dict(pairwise(args))
    assert flags["--ckpt-dir"] == "/models/Stable-diffusion"
    assert flags["--lora-dir"] == "/models/Lora"
    assert flags["--vae-dir"] == "/models/VAE"
    assert flags["--embeddings-dir"] == "/models/embeddings"
    assert flags["--esrgan-models-path"] == "/models/ESRGAN"
    assert "--lora-dir" not in rendering.runtime(**MOUNT, runtime__type="a1111", models__folders__loras="")["args"]
    assert "ConfigMap" not in rendering.objects(**MOUNT, runtime__type="a1111")


def test_a1111_serves_its_api_and_no_page_on_the_pods_port() -> None:
    args = rendering.runtime(runtime__type="a1111", runtime__port=7861)["args"]
    assert {"--api", "--nowebui", "--listen"} <= set(args)
    assert dict(pairwise(args))["--port"] == "7861"
    assert "--nowebui" not in rendering.runtime()["args"], "ComfyUI ends at a flag that it does not know"


def test_the_users_arguments_come_after_the_charts_or_alone() -> None:
    assert rendering.runtime(runtime__args=["--lowvram"])["args"][-1] == "--lowvram"
    assert rendering.runtime(runtime__args=["--lowvram"], runtime__chartArgs=False)["args"] == ["--lowvram"]
    assert "args" not in rendering.runtime(runtime__chartArgs=False)


@pytest.mark.parametrize(("kind", "path"), [("comfyui", "/extensions"), ("a1111", "/data/extensions")])
def test_custom_nodes_come_from_an_image_of_their_own(kind: str, path: str) -> None:
    changes = {**NODES, "runtime__type": kind}
    containers = rendering.init_containers(**changes)
    assert list(containers) == ["extensions", "runtime"]
    assert containers["extensions"]["command"] == ["cp", "-R", "/extensions/.", "/target"]
    assert containers["extensions"]["securityContext"]["runAsUser"] == 1000, "nodes write beside their code"
    assert mounts(containers["runtime"])[path] == "extensions"


def test_comfyui_is_told_of_custom_nodes() -> None:
    assert paths(**NODES) == {"extensions": {"custom_nodes": "/extensions"}}
