"""A job that repeats an earlier one delivers again, whatever nodes it ends in: against the painter, which caches."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agent.edges.comfyui import ComfyUI
from agent.ports import Work
from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from tests.agent.comfyui_client import client
from tests.agent.scenario import in_loop

SOURCE = {"1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 7}}}
ENDS: dict[str, dict[str, Any]] = {
    "SaveImage": {"images": ["1", 0], "filename_prefix": "a"},
    "PreviewImage": {"images": ["1", 0]},
    "PreviewAny": {"source": "some words"},
    "VHS_VideoCombine": {
        "images": ["1", 0],
        "filename_prefix": "v",
        "frame_rate": 8,
        "loop_count": 0,
        "format": "image/gif",
        "pingpong": False,
        "save_output": False,
    },
}


@pytest.fixture
def painter(tmp_path: Path) -> Iterator[str]:
    with serving(PainterSettings(data=tmp_path, seconds_per_step=0)) as url:
        yield url


async def delivered(backend: ComfyUI, graph: dict[str, Any]) -> list[bytes]:
    job_id = str(uuid4())
    made = await backend.run(Work(job_id, f"{job_id}-1", graph, {}), lambda _: None)
    return [b"".join([chunk async for chunk in backend.read(artifact)]) for artifact in made]


def remove_files(data: Path) -> None:
    """What a tidy neighbour does, and what a full disk makes a person do."""
    for folder in ("output", "temp"):
        shutil.rmtree(data / folder)
        (data / folder).mkdir()


@pytest.mark.parametrize("end", ENDS)
@in_loop
async def test_a_repeated_graph_delivers_again_though_the_first_ones_files_are_gone(
    painter: str, tmp_path: Path, end: str
) -> None:
    graph = {**SOURCE, "9": {"class_type": end, "inputs": ENDS[end]}}
    backend = client(painter)
    first = await delivered(backend, graph)
    remove_files(tmp_path)
    second = await delivered(backend, graph)
    await backend.aclose()
    assert len(first) == len(second) == 1
    assert first[0]


@in_loop
async def test_only_the_last_node_of_a_repeat_runs_again(painter: str) -> None:
    graph = {**SOURCE, "9": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    backend = client(painter)
    for _ in range(2):
        await delivered(backend, graph)
    history = json.loads((await backend._ask("GET", "/history")).body)
    await backend.aclose()
    cached = [entry["status"]["messages"][1][1]["nodes"] for entry in history.values()]
    assert cached == [[], ["1"]], "the picture itself comes from the cache"
