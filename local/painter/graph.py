"""A prompt's graph: links, and signatures by which results are found again."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

Graph = dict[str, Any]


def link_of(value: Any) -> tuple[str, int] | None:
    """Node id and output slot of a link, None for a plain value; a list is always meant as a link."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int | float):
        return value[0], int(value[1])
    return None


def upstream(node: dict[str, Any]) -> list[str]:
    return [link[0] for value in node["inputs"].values() if (link := link_of(value))]


def run_order(graph: Graph, outputs: list[str]) -> list[str]:
    """Nodes that `outputs` need, each after what it depends on. The graph has been validated: no cycles."""
    order: dict[str, None] = {}

    def visit(node_id: str) -> None:
        if node_id in order:
            return
        for source in upstream(graph[node_id]):
            visit(source)
        order[node_id] = None

    for output in outputs:
        visit(output)
    return list(order)


def signatures(graph: Graph, node_ids: list[str], fingerprint: Callable[[dict[str, Any]], str]) -> dict[str, str]:
    """Signature per node over class, inputs and everything upstream, not over node ids or `_meta`.

    node_ids: in run order. fingerprint: what else a node depends on, such as a file's content.
    """
    found: dict[str, str] = {}
    for node_id in node_ids:
        node = graph[node_id]
        inputs = {name: _signed(value, found) for name, value in sorted(node["inputs"].items())}
        text = json.dumps([node["class_type"], inputs, fingerprint(node)], sort_keys=True)
        found[node_id] = hashlib.sha256(text.encode()).hexdigest()
    return found


def _signed(value: Any, found: dict[str, str]) -> Any:
    link = link_of(value)
    return ["link", found[link[0]], link[1]] if link else ["value", value]
