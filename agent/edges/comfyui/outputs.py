"""What a finished prompt left behind, as artifacts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class File:
    """A file of the runtime's, as `/view` wants it named."""

    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True, slots=True)
class _Found:
    node_id: str
    name: str
    source: File | Picture | str

    @property
    def is_saved(self) -> bool:
        return isinstance(self.source, Picture) or (isinstance(self.source, File) and self.source.type == "output")


def artifacts(outputs: Mapping[str, Any], order: Sequence[str], sent: Sequence[Sent] = ()) -> list[Artifact]:
    """Saved files and texts; previews only when no file was saved. order: the graph's node ids.

    outputs: `{node id: {kind: [items]}}`, where items may be anything; empty when there is nothing to take.
    sent: what came over the socket instead.
    """
    place = {node_id: index for index, node_id in enumerate(order)}
    found = [*_found(outputs), *(_Found(each.node_id, each.name, each.picture) for each in sent)]
    found.sort(key=lambda item: place.get(item.node_id, len(place)))
    saved = [item for item in found if item.is_saved]
    texts = [item for item in found if isinstance(item.source, str)]
    previews = [item for item in found if isinstance(item.source, File) and item.source.type == "temp"]
    taken: set[str] = set()
    return [_artifact(item, taken) for item in (saved or previews) + texts]


def _found(outputs: Mapping[str, Any]) -> Iterator[_Found]:
    for node_id, kinds in outputs.items():
        if not isinstance(kinds, dict):
            continue
        for kind, items in kinds.items():
            yield from _of_kind(node_id, kind, items if isinstance(items, list | tuple) else [items])


def _of_kind(node_id: str, kind: str, items: Iterable[Any]) -> Iterator[_Found]:
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("filename"), str) and item["filename"]:
            file = File(item["filename"], _text(item.get("subfolder")), _text(item.get("type")) or "output")
            yield _Found(node_id, file.filename.replace("\\", "/").rpartition("/")[2], file)
        elif kind == "text" and isinstance(item, str):
            yield _Found(node_id, f"text_{node_id}.txt".replace("/", "_"), item)


def _artifact(item: _Found, taken: set[str]) -> Artifact:
    kind, content_type = _BY_SUFFIX.get(item.name.rpartition(".")[2].lower(), _UNKNOWN)
    name = unique_name(item.name, taken)
    return Artifact(name=name, type=kind, content_type=content_type, node_id=item.node_id, source=item.source)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
