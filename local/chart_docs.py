"""VALUES.md and values.schema.json of the chart, made from the comments of its values.yaml.

A `# --` line says what the value below it is. A `# @schema {…}` line, a YAML mapping, narrows what it may be;
`# @schema free` lets an object hold anything, `# @schema {free: string}` any name with a text.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.helm import CHART

Json = dict[str, Any]

_TYPES = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}


class ValuesError(ValueError):
    """A value in values.yaml can't be documented; the message names it."""


@dataclass(frozen=True)
class Value:
    """One value. path: dotted. hint: what its `@schema` line holds. children: of an object that is not free."""

    path: str
    default: Any
    description: str
    hint: Json
    children: tuple["Value", ...]


def read_values(text: str) -> tuple[Value, ...]:
    """The values of values.yaml, in its order. Raises: ValuesError."""
    return _children(yaml.compose(text), text.splitlines(), "")


def _children(node: yaml.Node | None, lines: list[str], prefix: str) -> tuple[Value, ...]:
    assert isinstance(node, yaml.MappingNode)
    found = []
    for key, content in node.value:
        path = f"{prefix}{key.value}"
        description, hint = _comment(lines, key.start_mark.line, path)
        is_closed = isinstance(content, yaml.MappingNode) and "free" not in hint
        children = _children(content, lines, f"{path}.") if is_closed else ()
        default = yaml.safe_load(yaml.serialize(content))
        found.append(Value(path, default, description, hint, children))
    return tuple(found)


def _comment(lines: list[str], line: int, path: str) -> tuple[str, Json]:
    """Description and hint from the comment lines right above a key."""
    above: list[str] = []
    while line and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        above.insert(0, lines[line].strip().removeprefix("#").strip())
    texts = [text.removeprefix("--").strip() for text in above if text.startswith("--")]
    hints = [yaml.safe_load(text.removeprefix("@schema")) for text in above if text.startswith("@schema")]
    if len(texts) != 1 or not texts[0]:
        raise ValuesError(f"{path}: say what it is, in one `# --` line above it.")
    hint = hints[0] if hints else {}
    return texts[0], {"free": True} if hint == "free" else hint


def schema(values: Sequence[Value]) -> Json:
    """JSON schema of the chart's values, closed at every object that is not free."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_closed(values)}


def _closed(values: Sequence[Value]) -> Json:
    properties = {value.path.rpartition(".")[2]: _property(value) for value in values}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _property(value: Value) -> Json:
    described = {"description": value.description}
    if value.children:
        return described | _closed(value.children)
    hint = dict(value.hint)
    free = hint.pop("free", None)
    if free:
        hint["additionalProperties"] = {"type": free} if isinstance(free, str) else True
    return described | {"type": _TYPES[type(value.default)]} | hint


def table(values: Sequence[Value]) -> str:
    """VALUES.md: one row for each value."""
    rows = [
        f"| `{value.path}` | {_default(value)} | {value.description}{_bounds(value.hint)} |" for value in _flat(values)
    ]
    return "\n".join(
        [
            "# Values of the chart `sd-runtime`",
            "",
            "Made from `values.yaml` by `python -m local.chart_docs`; change that file, not this one.",
            "",
            "| value | default | what it is |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _flat(values: Sequence[Value]) -> Iterator[Value]:
    for value in values:
        yield value
        yield from _flat(value.children)


def _default(value: Value) -> str:
    return "" if value.children else f"`{json.dumps(value.default)}`"


def _bounds(hint: Json) -> str:
    if "enum" in hint:
        return " One of " + ", ".join(f"`{choice}`" for choice in hint["enum"]) + "."
    if "maximum" in hint:
        return f" From {hint['minimum']} to {hint['maximum']}."
    return ""


def documents(chart: Path = CHART) -> dict[Path, str]:
    """The generated files and what they should hold. Raises: ValuesError."""
    values = read_values((chart / "values.yaml").read_text())
    return {
        chart / "VALUES.md": table(values),
        chart / "values.schema.json": json.dumps(schema(values), indent=2) + "\n",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.chart_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not fresh")
    check = parser.parse_args(arguments).check
    stale = [path for path, text in documents().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            print(f"{path.name} is not what values.yaml says; run `make docs`.", file=sys.stderr)
        else:
            path.write_text(documents()[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
