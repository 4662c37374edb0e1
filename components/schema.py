"""Reading plain values into dataclasses: every problem is collected, none raised, so that a person sees all at once.

A field says with `checked(...)` what it takes; a check returns the value to keep, or notes a problem. What a check
takes is also described (`described`), as JSON Schema with the unit beside it, for documentation and editors.
"""

import dataclasses
import difflib
import re
import reprlib
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")

Check = Callable[[Any, str, list[str]], Any]  # value, its key, problems found so far

_CHECK = "check"
_FORM = "form"  # of a check: JSON Schema of what it takes; `unit` and `meaning` are words for people
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def checked(check: Check, default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field read by `check`; without a default it must be given."""
    return dataclasses.field(default=default, metadata={_CHECK: check})


def read(kind: type[T], value: object, key: str, problems: list[str]) -> T | None:
    """`kind` from a mapping; None when a problem was noted. A null counts as left out."""
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        problems.append(f"{key}: {shown(value)} is no mapping; write its settings as `name: value` lines below it.")
        return None
    before = len(problems)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type] # T is a dataclass
    refuse_unknown(value, fields, key, problems)
    values = {}
    for name, field in fields.items():
        where = f"{key}.{name}"
        if value.get(name) is not None or _is_nested(field):
            values[name] = _checked_value(field, value.get(name), where, problems)
        elif field.default is dataclasses.MISSING:
            problems.append(f"{where}: is missing; it has no default, so add it.")
    return kind(**values) if len(problems) == before else None


def _checked_value(field: dataclasses.Field[Any], value: Any, key: str, problems: list[str]) -> Any:
    before = len(problems)
    kept = field.metadata[_CHECK](value, key, problems)
    if len(problems) > before and isinstance(field.default, int | str):
        problems[-1] += f" Leave it out for {field.default}."
    return kept


def refuse_unknown(given: Mapping[Any, Any], known: Collection[str], key: str, problems: list[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"remove it; there are {', '.join(sorted(known))}."
            problems.append(f"{key}: {shown(name)} is no setting; {hint}")


def shown(value: object) -> str:
    """The value as a person wrote it, shortened."""
    try:
        return value if isinstance(value, str) and len(value) <= 60 and value.isprintable() else _SHORT.repr(value)
    except ValueError:  # Python refuses to write integers of more than 4,300 digits
        return "a very long number"


def whole(low: int, high: int, unit: str = "") -> Check:
    """An integer between two bounds, both allowed."""

    @_takes({"type": "integer", "minimum": low, "maximum": high, "unit": unit})
    def check(value: Any, key: str, problems: list[str]) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            problems.append(f"{key}: {shown(value)} is no whole number from {low} to {high}{unit and ' ' + unit}.")
        return value

    return check


def flag(value: Any, key: str, problems: list[str]) -> Any:
    """A check for yes or no."""
    if not isinstance(value, bool):
        problems.append(f"{key}: {shown(value)} is neither true nor false.")
    return value


flag.__dict__[_FORM] = {"type": "boolean"}


def one_of(*options: Any) -> Check:
    @_takes({"enum": list(options)})
    def check(value: Any, key: str, problems: list[str]) -> Any:
        if type(value) is bool or value not in options:
            problems.append(f"{key}: {shown(value)} is none of {', '.join(map(str, options))}.")
        return value

    return check


def member(kind: type[StrEnum]) -> Check:
    @_takes({"enum": [str(each) for each in kind]})
    def check(value: Any, key: str, problems: list[str]) -> Any:
        if not isinstance(value, str) or value not in list(kind):
            problems.append(f"{key}: {shown(value)} is none of {', '.join(kind)}.")
            return None
        return kind(value)

    return check


def text(pattern: str, meaning: str) -> Check:
    """Text that matches the whole pattern; `meaning` ends the sentence `… is no `."""
    form = re.compile(pattern)

    @_takes({"type": "string", "pattern": f"^(?:{pattern})$", "meaning": meaning})
    def check(value: Any, key: str, problems: list[str]) -> Any:
        if not isinstance(value, str) or not form.fullmatch(value):
            problems.append(f"{key}: {shown(value)} is no {meaning}.")
        return value

    return check


def many(check_item: Check, low: int, high: int) -> Check:
    """A list as a tuple, each item checked, with as many items as the bounds say."""

    @_takes({"type": "array", "minItems": low, "maxItems": high, "items": check_item})
    def check(value: Any, key: str, problems: list[str]) -> Any:
        if not isinstance(value, list | tuple) or not low <= len(value) <= high:
            found = f"{len(value)} items" if isinstance(value, list | tuple) else shown(value)
            problems.append(f"{key}: {found} where a list of {low} to {high} is needed.")
            return ()
        return tuple(check_item(item, f"{key}[{index}]", problems) for index, item in enumerate(value))

    return check


def nested(kind: type[Any]) -> Check:
    """A section; left out, it is read as an empty one, so that its fields have their defaults."""
    check = optional(kind)
    check.__dict__["nested"] = True
    return check


def optional(kind: type[Any]) -> Check:
    """A section that is not there when it is left out."""

    @_takes({"type": "object", "section": kind})
    def check(value: Any, key: str, problems: list[str]) -> Any:
        return read(kind, value, key, problems)

    return check


def described(check: Check) -> Mapping[str, Any]:
    """JSON Schema of what a check takes, in its own words: `items` is a check, `section` the dataclass of an object.

    `unit` and `meaning` are for people. Raises: KeyError when the check says nothing of itself.
    """
    form: Mapping[str, Any] = check.__dict__[_FORM]
    return form


def check_of(field: dataclasses.Field[Any]) -> Check:
    check: Check = field.metadata[_CHECK]
    return check


def _takes(form: Mapping[str, Any]) -> Callable[[Check], Check]:
    def describe(check: Check) -> Check:
        check.__dict__[_FORM] = form
        return check

    return describe


def _is_nested(field: dataclasses.Field[Any]) -> bool:
    return hasattr(field.metadata[_CHECK], "nested")
