"""Validation of a prompt in ComfyUI's way: what is accepted, and the shape of every refusal.

Each output node is judged with what it depends on. Outputs that pass are run although others fail; numbers sent as
text are converted inside the graph, which is kept that way.
"""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.painter.folders import Folders
from local.painter.graph import Graph
from local.painter.inputs import Reason, value_reasons
from local.painter.nodes.spec import PLAIN_TYPES, Input, NodeClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """outputs: nodes to run, none when the prompt is refused with `error`. node_errors: also set beside outputs."""

    outputs: list[str]
    error: Reason | None = None
    node_errors: dict[str, Any] = field(default_factory=dict)


def validate(graph: Graph, classes: Mapping[str, NodeClass], folders: Folders, targets: list[str] | None) -> Verdict:
    """targets: only these output nodes, None for all. Converts numbers inside `graph`.

    Raises: TypeError or AttributeError for what is no graph at all; ComfyUI answers that with 500 too.
    """
    outputs: list[str] = []
    for node_id, node in graph.items():
        if refusal := _unknown_class(node_id, node, classes):
            return Verdict(outputs=[], error=refusal)
        if classes[node["class_type"]].is_output and (targets is None or node_id in targets):
            outputs.append(node_id)
    if not outputs:
        return Verdict(outputs=[], error=_refusal("prompt_no_outputs", "The prompt has no output node to run"))
    return _Validation(graph, classes, folders).judge(outputs)


def _refusal(kind: str, message: str, details: str = "") -> Reason:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def _unknown_class(node_id: str, node: Any, classes: Mapping[str, NodeClass]) -> Reason | None:
    name = node.get("class_type") if isinstance(node, dict) else None
    if name in classes:
        return None
    problem = "A node has no class_type" if name is None else f"Node class {name} is not installed"
    return _refusal("invalid_prompt", f"{problem}; node {node_id}", f"Node ID '#{node_id}'")


class _Validation:
    def __init__(self, graph: Graph, classes: Mapping[str, NodeClass], folders: Folders) -> None:
        self._graph = graph
        self._classes = classes
        self._folders = folders
        self._judged: dict[str, tuple[bool, list[Reason]]] = {}
        self._open: set[str] = set()

    def judge(self, outputs: list[str]) -> Verdict:
        good: list[str] = []
        summary: list[str] = []
        node_errors: dict[str, Any] = {}
        for output in outputs:
            if self._output_is_valid(output):
                good.append(output)
                continue
            self._collect(output, node_errors)
            summary += [f"{reason['message']}: {reason['details']}" for reason in self._judged[output][1]]
        if good:
            return Verdict(outputs=good, node_errors=node_errors)
        details = "\n".join(f"- {line}" for line in summary)
        error = _refusal("prompt_outputs_failed_validation", "Every output of the prompt failed validation", details)
        return Verdict(outputs=[], error=error, node_errors=node_errors)

    def _output_is_valid(self, output: str) -> bool:
        try:
            return self._is_valid(output)
        except Exception as error:  # noqa: BLE001 # whatever a malformed link raises is reported, as ComfyUI does
            self._open.clear()
            self._judged[output] = (False, [_exception_reason(error)])
            return False

    def _collect(self, output: str, node_errors: dict[str, Any]) -> None:
        for node_id, (is_valid, reasons) in self._judged.items():
            if is_valid or not reasons:
                continue
            class_type = self._graph[node_id]["class_type"]
            entry = node_errors.setdefault(
                node_id, {"errors": reasons, "dependent_outputs": [], "class_type": class_type}
            )
            entry["dependent_outputs"].append(output)

    def _is_valid(self, node_id: str) -> bool:
        if node_id in self._judged:
            return self._judged[node_id][0]
        if node_id in self._open:  # a cycle: refused without a reason, as ComfyUI does
            self._judged[node_id] = (False, [])
            return False
        self._open.add(node_id)
        node = self._graph[node_id]
        row = self._classes[node["class_type"]]
        reasons: list[Reason] = []
        judgements = [self._input_is_valid(node["inputs"], entry, row, reasons) for entry in row.inputs]
        self._open.discard(node_id)
        self._judged[node_id] = (all(judgements) and not reasons, reasons)
        return self._judged[node_id][0]

    def _input_is_valid(self, inputs: dict[str, Any], entry: Input, row: NodeClass, reasons: list[Reason]) -> bool:
        """False when something upstream is at fault; faults of the input itself go to `reasons`."""
        if entry.name not in inputs:
            if entry.is_required:
                info = {"input_name": entry.name}
                reasons.append(
                    {
                        "type": "required_input_missing",
                        "message": "A required input is missing",
                        "details": entry.name,
                        "extra_info": info,
                    }
                )
            return True
        value = inputs[entry.name]
        if isinstance(value, list):
            return self._link_is_valid(value, entry, reasons)
        reasons += value_reasons(inputs, entry, row, self._folders)
        return True

    def _link_is_valid(self, link: list[Any], entry: Input, reasons: list[Reason]) -> bool:
        config = entry.config(self._folders)
        if len(link) != 2:
            reasons.append(
                {
                    "type": "bad_linked_input",
                    "message": "A link is a list of two: node id and output slot",
                    "details": entry.name,
                    "extra_info": {"input_name": entry.name, "input_config": config, "received_value": link},
                }
            )
            return True
        source, slot = link
        given = self._classes[self._graph[source]["class_type"]].outputs[slot][0]
        if not _fits(given, entry):
            wanted = entry.type if isinstance(entry.type, str) else "COMBO"
            reasons.append(
                {
                    "type": "return_type_mismatch",
                    "message": "The linked node returns another type than the input takes",
                    "details": f"{entry.name}, received_type({given}) mismatch input_type({wanted})",
                    "extra_info": {
                        "input_name": entry.name,
                        "input_config": config,
                        "received_type": given,
                        "linked_node": link,
                    },
                }
            )
            return True
        return self._upstream_is_valid(source, link, entry)

    def _upstream_is_valid(self, source: str, link: list[Any], entry: Input) -> bool:
        try:
            return self._is_valid(source)
        except Exception as error:  # noqa: BLE001 # reported at the node whose own links raise
            reason = _exception_reason(error, "exception_during_inner_validation")
            reason["extra_info"] |= {
                "input_name": entry.name,
                "input_config": entry.config(self._folders),
                "exception_message": str(error),
                "linked_node": link,
            }
            self._judged[source] = (False, [reason])
            return False


def _fits(given: str, entry: Input) -> bool:
    if "*" in (given, entry.type):
        return True
    if isinstance(entry.type, str):
        return given == entry.type
    return given == "COMBO" or given not in PLAIN_TYPES


def _exception_reason(error: Exception, kind: str = "exception_during_validation") -> Reason:
    return {
        "type": kind,
        "message": "Validating a node raised an exception",
        "details": str(error),
        "extra_info": {
            "exception_type": type(error).__name__,
            "traceback": traceback.format_tb(error.__traceback__),
        },
    }
