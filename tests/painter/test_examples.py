"""Every example in the repository runs, and what it shows is what it says."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sd_async.contract.checks import check_input
from sd_async.contract.forms import parse_v1alpha2
from sd_async.contract.jobs import JobType
from tests.painter.client import Comfy

EXAMPLES = Path(__file__).parents[2] / "examples"
WORKFLOWS = sorted((EXAMPLES / "comfyui").glob("*.json"))


def _workflow(name: str) -> Any:
    return json.loads((EXAMPLES / "comfyui" / f"{name}.json").read_text())


def _pixels(comfy: Comfy, item: dict[str, str]) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(comfy.picture(item))), np.int16)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_workflow_passes_our_contract_and_runs(comfy: Comfy, path: Path) -> None:
    graph = json.loads(path.read_text())
    check_input(graph, JobType.WORKFLOW)
    answer = comfy.post(graph)
    assert answer.status_code == 200, answer.text
    assert answer.json()["node_errors"] == {}
    entry = comfy.ended(answer.json()["prompt_id"])
    assert entry["status"]["status_str"] == "success", entry["status"]
    assert all(comfy.picture(item) for output in entry["outputs"].values() for item in output["images"])


def test_the_v1alpha2_body_is_the_text_to_image_workflow_for_the_runtime_sd15() -> None:
    job = parse_v1alpha2(json.loads((EXAMPLES / "v1alpha2-comfyui.json").read_text()))
    assert (job.runtime, job.type) == ("sd15", JobType.WORKFLOW)
    assert job.input == _workflow("text-to-image")


def test_the_readme_names_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text()
    paths = [path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*.json")]
    missing = [path for path in paths if f"`{path}`" not in text]
    assert missing == []


def test_inpainting_leaves_everything_outside_the_mask_as_it_was(comfy: Comfy) -> None:
    graph = _workflow("inpainting")
    graph["20"] = {"class_type": "PreviewImage", "inputs": {"images": ["12", 0]}}
    outputs = comfy.run(graph)["outputs"]
    before, after = (_pixels(comfy, outputs[node]["images"][0]) for node in ("20", "9"))
    grown = np.zeros((512, 512), bool)
    grown[48 - 6 : 48 + 224 + 6, 256 - 6 : 256 + 224 + 6] = True
    changed = np.abs(after - before).max(axis=-1) > 0
    assert not changed[~grown].any()
    assert changed[grown].mean() > 0.9


def test_image_to_image_keeps_as_much_of_the_input_as_denoise_leaves(comfy: Comfy) -> None:
    distances = []
    for denoise in (0.1, 0.4, 0.9):
        graph = _workflow("image-to-image")
        graph["3"]["inputs"]["denoise"] = denoise
        graph["20"] = {"class_type": "PreviewImage", "inputs": {"images": ["10", 0]}}
        outputs = comfy.run(graph)["outputs"]
        sky = slice(0, 200)  # above the words
        before, after = (_pixels(comfy, outputs[node]["images"][0])[sky] for node in ("20", "9"))
        distances.append(float(np.abs(after - before).mean()))
    assert 0 < distances[0] < distances[1] < distances[2]


def test_upscaling_gives_four_times_the_size(comfy: Comfy) -> None:
    item = comfy.run(_workflow("upscale"))["outputs"]["9"]["images"][0]
    height, width, _ = _pixels(comfy, item).shape
    assert width == 2048
    assert height > 1024
