"""A client's graph as this attempt sends it."""

from collections.abc import Iterator, Mapping
from typing import Any

_RUN_MARK = "sd_async"


def prepared(graph: Mapping[str, Any], label: str, uploaded: Mapping[str, str]) -> dict[str, Any]:
    """A copy with its own file names.

    label: unique to the attempt. ComfyUI answers a repeated graph with the first run's file names and writes nothing,
    so every prefix gets a folder of this attempt. A node at the graph's end that has no prefix of its own (previews,
    texts, savers with other names for it) gets an input that ComfyUI ignores but for telling this run from others.
    uploaded: name in the job -> name at the runtime.
    """
    linked = {source for node in graph.values() for source in _linked(node)}
    return {
        node_id: _prepared_node(node, label, uploaded, is_last=node_id not in linked) for node_id, node in graph.items()
    }


def folder_of(label: str) -> str:
    """Where a run's savers save, in the runtime's output folder."""
    return f"sd-async/{label}"


def upload_name(label: str, index: int, name: str) -> str:
    """Name of an input file at the runtime: none of the client's characters but a plain extension.

    It lies in the input folder itself, since only there every kind of loader looks.
    """
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    plain = suffix if suffix.isascii() and suffix.isalnum() and len(suffix) <= 8 else ""
    return f"sd-async-{label}-{index}" + (f".{plain}" if plain else "")


def _linked(node: Any) -> Iterator[str]:
    """Ids of the nodes whose outputs it takes."""
    inputs = node.get("inputs") if isinstance(node, dict) else None
    for value in inputs.values() if isinstance(inputs, dict) else ():
        if _is_link(value):
            yield value[0]


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _prepared_node(node: Any, label: str, uploaded: Mapping[str, str], *, is_last: bool) -> Any:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    if not isinstance(inputs, dict):
        return node
    changed = {name: _prepared_input(name, value, label, uploaded) for name, value in inputs.items()}
    if is_last and not isinstance(inputs.get("filename_prefix"), str):
        changed[_RUN_MARK] = label
    return {**node, "inputs": changed}


def _prepared_input(name: str, value: Any, label: str, uploaded: Mapping[str, str]) -> Any:
    if isinstance(value, list) and not _is_link(value):
        return [_of_run(item, uploaded) for item in value]
    if name == "filename_prefix" and isinstance(value, str):
        # Parts that climb would leave this attempt's folder, and meet another's files.
        parts = [part for part in value.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
        return "/".join([folder_of(label), *(parts or ["ComfyUI"])])
    return _of_run(value, uploaded)


def _of_run(value: Any, uploaded: Mapping[str, str]) -> Any:
    """The uploaded file's name where the value is the job's; `[input]` is how ComfyUI marks the folder it is in."""
    return uploaded.get(value.removesuffix(" [input]"), value) if isinstance(value, str) else value
