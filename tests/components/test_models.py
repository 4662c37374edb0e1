"""A runtime's folder of the models bucket as a volume of its own."""

from typing import Any

import pytest

from components.models import ModelVolumes, ModelVolumesArgs
from tests.components.example import CONFIG, stack
from tests.support.engine import Engine, build
from tests.support.manifests import refusals

VOLUME, CLAIM = "kubernetes:core/v1:PersistentVolume", "kubernetes:core/v1:PersistentVolumeClaim"


def volumes(**models: Any) -> Engine:
    runtimes = [runtime | {"models": models} for runtime in CONFIG["sd-async:runtimes"]]
    args = ModelVolumesArgs(settings=stack(runtimes=runtimes), models_bucket="models-1234567")
    return build(lambda: ModelVolumes("models", args))


def test_each_runtime_reads_its_own_folder_and_nothing_else() -> None:
    found = {one["metadata"]["name"]: one["spec"] for one in volumes(cache_gib=80).inputs(VOLUME)}
    assert sorted(found) == ["sd-async-dev-models-sd15", "sd-async-dev-models-sdxl"]
    sd15 = found["sd-async-dev-models-sd15"]
    assert sd15["mountOptions"] == ["region us-west-2", "prefix sd15/", "read-only", "allow-other"]
    assert sd15["csi"]["volumeAttributes"] == {
        "bucketName": "models-1234567",
        "authenticationSource": "pod",
        "cache": "emptyDir",
        "cacheEmptyDirSizeLimit": "80Gi",
    }


def test_no_two_volumes_of_a_cluster_have_one_handle() -> None:
    handles = [one["spec"]["csi"]["volumeHandle"] for one in volumes().inputs(VOLUME)]
    assert sorted(handles) == ["sd-async-dev-models-sd15", "sd-async-dev-models-sdxl"]


def test_a_claim_gets_the_volume_that_is_meant_for_it() -> None:
    for claim in volumes().inputs(CLAIM):
        name = claim["metadata"]["name"]
        assert claim["spec"]["volumeName"] == f"sd-async-dev-{name}"
        assert claim["spec"]["storageClassName"] == "", "another class would make a volume of its own"


@pytest.mark.parametrize("mode", ["copy", "image"])
def test_a_runtime_that_mounts_no_models_has_no_volume(mode: str) -> None:
    engine = volumes(mode=mode)
    assert len(engine.inputs("kubernetes:core/v1:Namespace")) == 1
    assert engine.inputs(VOLUME) == engine.inputs(CLAIM) == []


def test_the_api_server_takes_every_document() -> None:
    assert refusals([*volumes().inputs(VOLUME), *volumes().inputs(CLAIM)]) == ""
