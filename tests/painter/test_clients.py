"""Clients of ComfyUI, as they are, against the painter."""

import io
import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper  # type: ignore[import-untyped] # has no types
from comfy_api_simplified.exceptions import ComfyApiError  # type: ignore[import-untyped] # has no types
from PIL import Image

from tests.painter.client import Comfy, flat, new_id, received

WORKFLOWS = Path(__file__).parents[2] / "examples" / "comfyui"
TEXT_TO_IMAGE = WORKFLOWS / "text-to-image.json"


def _sizes(pictures: dict[str, bytes]) -> list[tuple[int, int]]:
    return [Image.open(io.BytesIO(data)).size for data in pictures.values()]


def test_a_third_party_client_gets_its_pictures(comfy: Comfy) -> None:
    api = ComfyApiWrapper(comfy.url)
    workflow = ComfyWorkflowWrapper(str(TEXT_TO_IMAGE))
    workflow.set_node_param("Positive prompt", "text", "a castle above the clouds")
    workflow.set_node_param("Empty Latent Image", "width", 128)
    workflow.set_node_param("Empty Latent Image", "height", 96)
    workflow.set_node_param("Empty Latent Image", "batch_size", 2)
    pictures = api.queue_and_wait_images(workflow, "Save Image")
    assert list(pictures) == ["text-to-image_00001_.png", "text-to-image_00002_.png"]
    assert _sizes(pictures) == [(128, 96)] * 2


def test_a_third_party_client_uploads_a_picture_and_works_on_it(comfy: Comfy, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    api = ComfyApiWrapper(comfy.url)
    uploaded = api.upload_image(tmp_path / "red.png")
    workflow = ComfyWorkflowWrapper(str(WORKFLOWS / "image-to-image.json"))
    workflow.set_node_param("Load Image", "image", f"{uploaded['subfolder']}/{uploaded['name']}")
    assert _sizes(api.queue_and_wait_images(workflow, "Save Image")) == [(64, 64)]


def test_a_third_party_client_gets_pictures_over_the_websocket(comfy: Comfy) -> None:
    graph = flat("unused", size=32)
    graph["2"] = {
        "class_type": "SaveImageWebsocket",
        "inputs": {"images": ["1", 0]},
        "_meta": {"title": "Send"},
    }
    graph["1"]["_meta"] = {"title": "Make"}
    # The client connects after it has posted; a step that takes a while lets it be there in time.
    graph["3"] = {
        "class_type": "PainterSleep",
        "inputs": {"image": ["1", 0], "seconds": 2.0, "steps": 1},
        "_meta": {"title": "Wait"},
    }
    graph["2"]["inputs"]["images"] = ["3", 0]
    pictures = ComfyApiWrapper(comfy.url).queue_and_wait_images(ComfyWorkflowWrapper(graph), "Send")
    assert _sizes(pictures) == [(32, 32)]


def test_a_third_party_client_sees_refusals_and_failures(comfy: Comfy) -> None:
    api = ComfyApiWrapper(comfy.url)
    workflow = ComfyWorkflowWrapper(str(TEXT_TO_IMAGE))
    workflow.set_node_param("Load Checkpoint", "ckpt_name", "missing.safetensors")
    with pytest.raises(ComfyApiError, match="400"):
        api.queue_and_wait_images(workflow, "Save Image")


def test_a_third_party_client_asks_about_the_server(comfy: Comfy) -> None:
    api = ComfyApiWrapper(comfy.url)
    assert "KSampler" in api.get_object_info("KSampler")
    assert api.get_system_stats()["devices"]
    assert api.get_embeddings() == []
    assert api.get_queue() == {"queue_running": [], "queue_pending": []}
    api.interrupt()


def test_the_call_sequence_of_comfyui_s_own_scripts_works(comfy: Comfy) -> None:
    """Socket first, then the prompt, messages until the last one, then history and files."""
    client_id = new_id()
    graph = json.loads(TEXT_TO_IMAGE.read_text())
    graph["5"]["inputs"] |= {"width": 64, "height": 64}
    graph["9"]["inputs"]["filename_prefix"] = "script"

    def asked(path: str, **query: str) -> bytes:
        url = f"{comfy.url}/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url) as answer:
            return bytes(answer.read())

    with comfy.socket(client_id) as socket:
        body = json.dumps({"prompt": graph, "client_id": client_id}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{comfy.url}/prompt", data=body)) as answer:
            prompt_id = json.loads(answer.read())["prompt_id"]
        received(socket, prompt_id)
    outputs: dict[str, Any] = json.loads(asked(f"history/{prompt_id}"))[prompt_id]["outputs"]
    pictures = {item["filename"]: asked("view", **item) for output in outputs.values() for item in output["images"]}
    assert list(pictures) == ["script_00001_.png"]
    assert _sizes(pictures) == [(64, 64)]
