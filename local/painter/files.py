"""Routes about files: pictures in, pictures out."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy
from PIL import Image

from local.painter.folders import Folders, OutsideFolderError, annotated
from local.painter.pictures.png import save_png, text_of

Form = MultiDictProxy[str | web.FileField | bytes | bytearray]


def routes(folders: Folders, prefix: str) -> list[web.RouteDef]:
    async def view(request: web.Request) -> web.StreamResponse:
        return _view(folders, request)

    async def upload_image(request: web.Request) -> web.Response:
        return _upload(folders, await request.post(), lambda data, _: data)

    async def upload_mask(request: web.Request) -> web.Response:
        return _upload(folders, await request.post(), lambda data, form: _with_alpha_of(folders, data, form))

    return [
        web.get(f"{prefix}/view", view),
        web.post(f"{prefix}/upload/image", upload_image),
        web.post(f"{prefix}/upload/mask", upload_mask),
    ]


def _view(folders: Folders, request: web.Request) -> web.StreamResponse:
    """The file with ETag and ranges; 404 missing, 403 subfolder outside, 400 a bad name or an unknown type."""
    name = request.query.get("filename")
    if name is None:
        return web.Response(status=404)
    plain, kind = annotated(name)
    kind = kind or request.query.get("type", "output")
    if not plain or plain.startswith("/") or ".." in plain or folders.of(kind) is None:
        return web.Response(status=400)
    try:
        folder = folders.inside(kind, request.query.get("subfolder", ""))
    except OutsideFolderError:
        return web.Response(status=403)
    path = folder / Path(plain).name
    if not path.is_file():
        return web.Response(status=404)
    return web.FileResponse(path, headers={"Content-Disposition": f'filename="{path.name}"'})


def _upload(folders: Folders, form: Form, content: Callable[[bytes, Form], bytes | None]) -> web.Response:
    """content: bytes to store for those that were sent, None when they cannot be made."""
    field, kind, subfolder = form.get("image"), form.get("type", "input"), form.get("subfolder", "")
    if not isinstance(field, web.FileField) or not field.filename or folders.of(str(kind)) is None:
        return web.Response(status=400)
    try:
        path = folders.inside(str(kind), str(subfolder), field.filename)
    except OutsideFolderError:
        return web.Response(status=400)
    data = content(field.file.read(), form)
    if data is None:
        return web.Response(status=400)
    path.parent.mkdir(parents=True, exist_ok=True)
    if form.get("overwrite") not in ("true", "1"):
        path = _free_path(path, data)
    path.write_bytes(data)
    return web.json_response({"name": path.name, "subfolder": subfolder, "type": kind})


def _free_path(path: Path, data: bytes) -> Path:
    """`path`, or `name (1).png` and so on while another picture has the name; the same picture keeps its name."""
    candidate, count = path, 0
    while candidate.exists() and candidate.read_bytes() != data:
        count += 1
        candidate = path.with_name(f"{path.stem} ({count}){path.suffix}")
    return candidate


def _with_alpha_of(folders: Folders, mask: bytes, form: Form) -> bytes | None:
    """The picture that `original_ref` names, its alpha taken from the mask that was sent."""
    reference: dict[str, Any] = json.loads(str(form.get("original_ref")))
    name, kind = annotated(reference["filename"])
    try:
        path = folders.inside(kind or reference.get("type", "output"), reference.get("subfolder", ""), name)
    except (OutsideFolderError, KeyError):
        return None
    if not path.is_file():
        return None
    with Image.open(path) as original, Image.open(io.BytesIO(mask)) as drawn:
        result = original.convert("RGBA")
        result.putalpha(drawn.convert("RGBA").getchannel("A").resize(result.size))
        return save_png(result, text_of(original))
