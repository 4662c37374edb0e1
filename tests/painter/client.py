"""A plain client of ComfyUI's protocol, as any script would write it."""

import json
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.sync.client import ClientConnection, connect

WAIT_S = 30.0
Graph = dict[str, Any]
Message = dict[str, Any]


class Comfy:
    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self.data = data
        self.http = httpx.Client(base_url=url, timeout=WAIT_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.http.close()

    def socket(self, client_id: str = "") -> ClientConnection:
        query = f"?clientId={client_id}" if client_id else ""
        return connect(f"ws{self.url.removeprefix('http')}/ws{query}", proxy=None, max_size=None)

    def post(self, graph: Any, **more: Any) -> httpx.Response:
        return self.http.post("/prompt", json={"prompt": graph, **more})

    def submit(self, graph: Graph, **more: Any) -> str:
        answer = self.post(graph, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["prompt_id"])

    def history(self, prompt_id: str) -> Any:
        return self.http.get(f"/history/{prompt_id}").json().get(prompt_id)

    def ended(self, prompt_id: str) -> Any:
        """History entry of a prompt, once it has one."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if entry := self.history(prompt_id):
                return entry
            time.sleep(0.005)  # the protocol's own way of waiting without a socket
        raise AssertionError(f"prompt {prompt_id} did not end within {WAIT_S} s")

    def run(self, graph: Graph, **more: Any) -> Any:
        return self.ended(self.submit(graph, **more))

    def wait_until_running(self, prompt_id: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            running = self.http.get("/queue").json()["queue_running"]
            if any(item[1] == prompt_id for item in running):
                return
            time.sleep(0.005)
        raise AssertionError(f"prompt {prompt_id} did not start within {WAIT_S} s")

    def interrupted(self, prompt_id: str, **body: Any) -> Any:
        """History entry of a prompt that runs, which is told to stop until it does.

        An interrupt is forgotten when the prompt has not begun, though the queue calls it running by then.
        body: of the request, as httpx takes it.
        """
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            answer = self.http.post("/interrupt", **body)
            assert (answer.status_code, answer.content) == (200, b"")
            again = time.monotonic() + 0.5
            while time.monotonic() < again:
                if entry := self.history(prompt_id):
                    return entry
                time.sleep(0.005)
        raise AssertionError(f"prompt {prompt_id} was not interrupted within {WAIT_S} s")

    def picture(self, item: dict[str, str]) -> bytes:
        answer = self.http.get("/view", params=item)
        assert answer.status_code == 200, item
        return answer.content


def received(socket: ClientConnection, prompt_id: str) -> list[Message | bytes]:
    """Every frame up to the last one of a prompt that has a client."""
    frames: list[Message | bytes] = []
    while True:
        frame = socket.recv(WAIT_S)
        if isinstance(frame, bytes):
            frames.append(frame)
            continue
        message = json.loads(frame)
        frames.append(message)
        if message["type"] == "executing" and message["data"] == {"node": None, "prompt_id": prompt_id}:
            return frames


def new_id() -> str:
    return str(uuid.uuid4())


def flat(prefix: str, *, color: int = 0, size: int = 16) -> Graph:
    """The smallest graph that saves a picture. Node ids: 1 makes it, 2 saves it."""
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": size, "height": size, "batch_size": 1, "color": color},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def between(graph: Graph, class_type: str, **inputs: Any) -> Graph:
    """`flat` with one more node, id 9, between making and saving."""
    return {
        **graph,
        "9": {"class_type": class_type, "inputs": {"image": ["1", 0], **inputs}},
        "2": {**graph["2"], "inputs": {**graph["2"]["inputs"], "images": ["9", 0]}},
    }


def painting(prefix: str, **changes: Any) -> Graph:
    """A text-to-image graph, saved by node 9.

    changes: inputs of the sampler (node 3), or width, height, batch_size, text, negative, ckpt_name.
    """
    own = {"width": 64, "height": 64, "batch_size": 1}
    latent = {name: changes.pop(name, value) for name, value in own.items()}
    text, negative = changes.pop("text", "a red fox"), changes.pop("negative", "blurry")
    ckpt_name = changes.pop("ckpt_name", "v1-5-pruned-emaonly-fp16.safetensors")
    sampler = {
        "seed": 1, "steps": 4, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
        "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
    }  # fmt: skip
    return {
        "3": {"class_type": "KSampler", "inputs": {**sampler, **changes}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ckpt_name}},
        "5": {"class_type": "EmptyLatentImage", "inputs": latent},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": negative, "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix, "images": ["8", 0]}},
    }
