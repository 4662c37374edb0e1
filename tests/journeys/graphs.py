"""ComfyUI workflows for journeys, in API format."""

import copy
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from sd_async.contract.jobs import JobRequest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Graph = dict[str, Any]


def example(name: str) -> Graph:
    document: Graph = json.loads((EXAMPLES / "comfyui" / f"{name}.json").read_text())
    return document


def colour(number: int = 0xFF8800) -> Graph:
    """The smallest picture there is: one colour, saved."""
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": number},
        },
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "colour"}},
    }


def through(class_type: str, **inputs: Any) -> Graph:
    """The picture on its way to be saved passes one of the painter's nodes that are slow or fail on purpose."""
    graph = copy.deepcopy(colour())
    # an input that differs each time, so that nothing comes from the runtime's cache
    graph["1"]["inputs"]["color"] = uuid4().int % 0xFFFFFF
    graph["5"] = {"class_type": class_type, "inputs": {"image": ["1", 0], **inputs}}
    graph["9"]["inputs"]["images"] = ["5", 0]
    return graph


def slow(seconds: float) -> Graph:
    return through("PainterSleep", seconds=seconds, steps=max(1, int(seconds * 10)))


def request(graph: Graph, **fields: Any) -> JobRequest:
    return JobRequest(runtime="sd15", input=graph, **fields)
