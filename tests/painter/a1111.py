"""A plain client of A1111's API, as any script would write it."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

WAIT_S = 30.0
Json = dict[str, Any]
EXAMPLES = Path(__file__).parents[2] / "examples"
MODEL = "v1-5-pruned-emaonly-fp16"
SMALL = {"prompt": "a red fox", "width": 64, "height": 64, "steps": 2, "seed": 1, "sampler_name": "Euler a"}


class WebUi:
    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}/sdapi/v1", timeout=WAIT_S, trust_env=False)

    def post(self, route: str, **body: Any) -> httpx.Response:
        return self.http.post(route, json=body)

    def made(self, route: str = "txt2img", **body: Any) -> Json:
        answer = self.post(route, **(SMALL | body))
        assert answer.status_code == 200, answer.text
        document: Json = answer.json()
        return document

    def get(self, route: str) -> Any:
        answer = self.http.get(route)
        assert answer.status_code == 200, answer.text
        return answer.json()


def example(name: str) -> Json:
    document: Json = json.loads((EXAMPLES / "a1111" / f"{name}.json").read_text())
    return document


def image_of(text: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    image.load()
    return image


def pixels(text: str) -> NDArray[np.int16]:
    return np.asarray(image_of(text).convert("RGB"), np.int16)


def picture(colour: tuple[int, int, int] = (10, 200, 30), size: tuple[int, int] = (64, 64)) -> str:
    encoded = io.BytesIO()
    Image.new("RGB", size, colour).save(encoded, "PNG")
    return base64.b64encode(encoded.getvalue()).decode()
