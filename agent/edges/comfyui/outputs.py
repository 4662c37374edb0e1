"""What a finished prompt left behind, as artifacts."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.edges.comfyui.sent import Picture, Sent
from agent.ports import Artifact, unique_name

_TYPES = {
    "image": {
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "webp": "image/webp",
        "gif": "image/gif",
        "avif": "image/avif",
        "bmp": "image/bmp",
        "tif": "image/tiff",
        "tiff": "image/tiff",
        "svg": "image/svg+xml",
        "exr": "image/x-exr",
    },
    "video": {
        "mp4": "video/mp4",
        "webm": "video/webm",
        "mkv": "video/x-matroska",
        "mov": "video/quicktime",
        "avi": "video/x-msvideo",
    },
    "audio": {
        "flac": "audio/flac",
        "mp3": "audio/mpeg",
        "opus": "audio/ogg",
        "ogg": "audio/ogg",
        "wav": "audio/wav",
        "m4a": "audio/mp4",
    },
    "text": {"txt": "text/plain; charset=utf-8", "json": "application/json", "csv": "text/csv", "srt": "text/plain"},
    "latent": {"latent": "application/octet-stream"},
    "3d": {
        "glb": "model/gltf-binary",
        "gltf": "model/gltf+json",
        "obj": "model/obj",
        "stl": "model/stl",
        "ply": "application/octet-stream",
        "fbx": "application/octet-stream",
    },
}
_BY_SUFFIX = {suffix: (kind, mime) for kind, mimes in _TYPES.items() for suffix, mime in mimes.items()}
_UNKNOWN = ("file", "application/octet-stream")
# What Preview3D writes itself where it gets a model and no name: `preview3d_` and a UUID (nodes_load_3d.py).
_OWN_PREVIEW = re.compile(r"preview3d_[0-9a-f]{32}\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class File:
    """A file of the runtime's, as `/view` wants it named."""

    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True, slots=True)
class _Found:
    """is_preview: taken only when there is nothing else."""

    node_id: str
    name: str
    source: File | Picture | str
    is_preview: bool = False


def artifacts(
    outputs: Mapping[str, Any], order: Sequence[str], folder: str, sent: Sequence[Sent] = ()
) -> list[Artifact]:
    """Saved files and texts; previews only when no file was saved. order: the graph's node ids.

    outputs: `{node id: {kind: [items]}}`, where items may be anything; empty when there is nothing to take.
    folder: of this run, in the runtime's output folder. sent: what came over the socket instead.
    """
    place = {node_id: index for index, node_id in enumerate(order)}
    found = [*_found(outputs), *(_Found(each.node_id, each.name, each.picture) for each in sent)]
    found += _shown(outputs, folder, {item.source for item in found})
    found.sort(key=lambda item: place.get(item.node_id, len(place)))
    files = [item for item in found if not isinstance(item.source, str)]
    texts = [item for item in found if isinstance(item.source, str)]
    saved = [item for item in files if not item.is_preview]
    taken: set[str] = set()
    return [_artifact(item, taken) for item in (saved or files) + texts]


def _found(outputs: Mapping[str, Any]) -> Iterator[_Found]:
    for node_id, kind, item in _items(outputs):
        if isinstance(item, dict) and isinstance(item.get("filename"), str) and item["filename"]:
            file = File(item["filename"], _text(item.get("subfolder")), _text(item.get("type")) or "output")
            if file.type in {"output", "temp"}:
                yield _Found(node_id, file.filename.replace("\\", "/").rpartition("/")[2], file, file.type == "temp")
        elif kind == "text" and isinstance(item, str):
            yield _Found(node_id, f"text_{node_id}.txt".replace("/", "_"), item)


def _shown(outputs: Mapping[str, Any], folder: str, told: Collection[Any]) -> Iterator[_Found]:
    """Models that only a viewer names (`result`), of those that can be none but this run's.

    The names come out of the graph, which may say anything: in this run's folder lies nobody else's file, and nobody
    can guess a UUID. told: what was named as a file already.
    """
    for node_id, kind, item in _items(outputs):
        if kind != "result" or not isinstance(item, str):
            continue
        subfolder, _, name = item.replace("\\", "/").rpartition("/")
        is_preview = not subfolder and _OWN_PREVIEW.fullmatch(name) is not None
        file = File(name, subfolder, "output")
        if file not in told and name and (is_preview or _is_inside(subfolder, folder)):
            yield _Found(node_id, name, file, is_preview)


def _is_inside(subfolder: str, folder: str) -> bool:
    return f"{subfolder}/".startswith(f"{folder}/") and ".." not in subfolder.split("/")


def _items(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Node, kind and item of each."""
    for node_id, kinds in outputs.items():
        for kind, items in kinds.items() if isinstance(kinds, dict) else ():
            for item in items if isinstance(items, list | tuple) else [items]:
                yield node_id, kind, item


def _artifact(item: _Found, taken: set[str]) -> Artifact:
    kind, content_type = _BY_SUFFIX.get(item.name.rpartition(".")[2].lower(), _UNKNOWN)
    name = unique_name(item.name, taken)
    return Artifact(name=name, type=kind, content_type=content_type, node_id=item.node_id, source=item.source)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
