"""A client's graph as this attempt sends it."""

from collections.abc import Mapping
from typing import Any


def prepared(graph: Mapping[str, Any], label: str, uploaded: Mapping[str, str]) -> dict[str, Any]:
    """A copy with its own file names.

    label: unique to the attempt. ComfyUI answers a repeated graph with the first run's file names and writes nothing,
    so every prefix gets a folder of this attempt. uploaded: name in the job -> name at the runtime.
    """
    return {node_id: _prepared_node(node, label, uploaded) for node_id, node in graph.items()}


def upload_name(label: str, index: int, name: str) -> str:
    """Name of an input file at the runtime: none of the client's characters but a plain extension.

    It lies in the input folder itself, since only there every kind of loader looks.
    """
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    plain = suffix if suffix.isascii() and suffix.isalnum() and len(suffix) <= 8 else ""
    return f"sd-async-{label}-{index}" + (f".{plain}" if plain else "")


def _prepared_node(node: Any, label: str, uploaded: Mapping[str, str]) -> Any:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    if not isinstance(inputs, dict):
        return node
    changed = {name: _prepared_input(name, value, label, uploaded) for name, value in inputs.items()}
    return {**node, "inputs": changed}


def _prepared_input(name: str, value: Any, label: str, uploaded: Mapping[str, str]) -> Any:
    if not isinstance(value, str):
        return value
    if name == "filename_prefix":
        # Parts that climb would leave this attempt's folder, and meet another's files.
        parts = [part for part in value.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
        return "/".join(["sd-async", label, *(parts or ["ComfyUI"])])
    return uploaded.get(value, value)
