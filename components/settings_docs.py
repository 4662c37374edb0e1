"""docs/settings.md and the JSON Schema of a stack file, from the settings' own fields.

`python -m components.settings_docs` writes both.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from components.schema import Check, check_of, described
from components.settings import Sections

PROJECT = "sd-async"
PAGE = Path("docs/settings.md")
SCHEMA = Path("docs/stack.schema.json")
PEOPLE = ("unit", "meaning", "items", "section")  # of a check's form: what JSON Schema has no word for

_TITLE = f"""# Settings of a stack

Generated from `components/settings*.py` by `make docs`. A stack file (`Pulumi.<stack>.yaml`) holds them under
`config:`, each section as `{PROJECT}:<section>`; `aws:region` is needed beside them. Editors complete a stack file that
begins with `# yaml-language-server: $schema=docs/stack.schema.json`. What is wrong is refused before the first
resource, all of it at once.
"""


class Line(NamedTuple):
    """One setting: its key below the section, what it takes, its bound and unit, and its default."""

    key: str
    takes: str
    bound: str
    default: str


def page() -> str:
    parts = [_TITLE]
    for field in dataclasses.fields(Sections):
        check = check_of(field)
        note = _note(_section_of(check))
        rows = list(_lines(field.name, field))
        table = [f"| `{row.key}` | {row.takes} | {row.bound} | {row.default} |" for row in rows]
        head = [f"## {field.name}", *([note] if note else []), ""]
        parts.append("\n".join([*head, "| setting | takes | bound | default |", "| --- | --- | --- | --- |", *table]))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a whole stack file; other programs' keys are left alone."""
    fields = dataclasses.fields(Sections)
    own = {f"{PROJECT}:{field.name}": _may_be_null(field) for field in fields}
    required = [f"{PROJECT}:{field.name}" for field in fields if field.default is dataclasses.MISSING]
    config = {
        "type": "object",
        "properties": {"aws:region": {"type": "string"}, **own},
        "patternProperties": {f"^(?!{PROJECT}:)": True},
        "additionalProperties": False,
        "required": ["aws:region", *required],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A stack of sd-async",
        "type": "object",
        "properties": {"config": config},
        "required": ["config"],
    }


def _schema_of(check: Check) -> dict[str, Any]:
    form = described(check)
    known = {name: value for name, value in form.items() if name not in PEOPLE}
    words = form.get("meaning") or form.get("unit")
    if words:
        known["description"] = words
    if "items" in form:
        known["items"] = _schema_of(form["items"])
    if "section" in form:
        known |= _object(form["section"])
    return known


def _object(section: type[Any]) -> dict[str, Any]:
    fields = dataclasses.fields(section)
    note = _note(section)
    return {
        **({"description": note} if note else {}),
        # a null counts as left out
        "properties": {field.name: _may_be_null(field) for field in fields},
        "required": [field.name for field in fields if _is_needed(field)],
        "additionalProperties": False,
    }


def _may_be_null(field: dataclasses.Field[Any]) -> dict[str, Any]:
    known = _schema_of(check_of(field))
    return known if field.default is dataclasses.MISSING else {"anyOf": [known, {"type": "null"}]}


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    # the reader gives a port to whoever names none, by the runtime's type
    return field.default is dataclasses.MISSING and field.name != "port"


def _lines(key: str, field: dataclasses.Field[Any]) -> Iterator[Line]:
    check = check_of(field)
    section = _section_of(check)
    if section is None or not _is_open(field):
        yield Line(key, *_words(check), _default(field))
    if section is not None:
        end = "[]" if "items" in described(check) else ""
        for inner in dataclasses.fields(section):
            yield from _lines(f"{key}{end}.{inner.name}", inner)


def _is_open(field: dataclasses.Field[Any]) -> bool:
    """Whether a section has nothing to say but what its fields do."""
    return "section" in described(check_of(field)) and field.default is not None


def _section_of(check: Check) -> type[Any] | None:
    form = described(check)
    found: type[Any] | None = form.get("section") or (
        described(form["items"]).get("section") if "items" in form else None
    )
    return found


def _words(check: Check) -> tuple[str, str]:
    """What a check takes, and its bound with the unit."""
    form = described(check)
    if "enum" in form:
        return "one of", ", ".join(f"`{option}`" for option in form["enum"])
    if "minimum" in form:
        return "whole number", f"{form['minimum']} to {form['maximum']} {form['unit']}".strip()
    if "items" in form:
        return f"list of {_words(form['items'])[0]}", f"{form['minItems']} to {form['maxItems']} items"
    if form["type"] == "string":
        return "text", str(form["meaning"]).replace("|", "\\|")
    return {"boolean": "yes or no", "object": "section"}[form["type"]], ""


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "by type" if field.name == "port" else "**needed**"
    if field.default is None or field.default == ():
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{_plain(field.default)}`"


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(_plain(each) for each in value)
    return str(getattr(value, "name", value))


def _note(section: type[Any] | None) -> str:
    """The docstring of a section in one paragraph."""
    if section is None or not section.__doc__:
        return ""
    return re.sub(r"\s+", " ", section.__doc__).strip()


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    SCHEMA.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
