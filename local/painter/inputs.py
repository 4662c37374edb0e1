"""Validation of one plain value: conversion, bounds, lists of choices, and a node's own check."""

from typing import Any

from local.painter.folders import Folders
from local.painter.nodes.spec import Input, NodeClass

Reason = dict[str, Any]

# Beyond this many choices ComfyUI leaves the list out of its error.
MAX_SHOWN_CHOICES = 20


def value_reasons(inputs: dict[str, Any], entry: Input, row: NodeClass, folders: Folders) -> list[Reason]:
    """Why `inputs[entry.name]` is refused, empty when it is not. A number sent as text is converted in `inputs`."""
    value = inputs[entry.name]
    if own_check := row.check.get(entry.name):
        reason = own_check(folders, value)
        if reason is None:
            return []
        return [_reason("custom_validation_failed", "The node refuses the value", reason, entry, folders, value)]
    if (choices := entry.choices(folders)) is not None:
        return _choice_reasons(value, choices, entry, folders)
    try:
        inputs[entry.name] = value = _converted(value, entry)
    except (TypeError, ValueError) as error:
        details = f"{entry.name}, {value}, {error}"
        reason_found = _reason("invalid_input_type", "The value is not of the type", details, entry, folders, value)
        reason_found["extra_info"]["exception_message"] = str(error)
        return [reason_found]
    return _bound_reasons(value, entry, folders)


def _reason(kind: str, message: str, details: str, entry: Input, folders: Folders, value: Any) -> Reason:
    info = {"input_name": entry.name, "input_config": entry.config(folders), "received_value": value}
    return {"type": kind, "message": message, "details": details, "extra_info": info}


def _converted(value: Any, entry: Input) -> Any:
    if entry.type == "INT":
        return int(value)
    if entry.type == "FLOAT":
        return float(value)
    if entry.type == "STRING":
        return str(value)
    return bool(value) if entry.type == "BOOLEAN" else value


def _choice_reasons(value: Any, choices: list[str], entry: Input, folders: Folders) -> list[Reason]:
    if value in choices:
        return []
    shown = choices if len(choices) <= MAX_SHOWN_CHOICES else f"(list of length {len(choices)})"
    details = f"{entry.name}: '{value}' not in {shown}"
    reason = _reason("value_not_in_list", "The value is not one of the choices", details, entry, folders, value)
    if len(choices) > MAX_SHOWN_CHOICES:
        reason["extra_info"]["input_config"] = None
    return [reason]


def _bound_reasons(value: Any, entry: Input, folders: Folders) -> list[Reason]:
    found: list[Reason] = []
    low, high = entry.options.get("min"), entry.options.get("max")
    if low is not None and value < low:
        message = f"Value {value} is smaller than the minimum of {low}"
        found.append(_reason("value_smaller_than_min", message, entry.name, entry, folders, value))
    if high is not None and value > high:
        message = f"Value {value} is bigger than the maximum of {high}"
        found.append(_reason("value_bigger_than_max", message, entry.name, entry, folders, value))
    return found
