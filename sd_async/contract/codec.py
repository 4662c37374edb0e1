"""Decoding that ends in a value or in one ContractError naming the field, nothing else."""

import re
from typing import Any, TypeVar

import msgspec

from sd_async.contract.errors import ContractError

T = TypeVar("T")

# msgspec ends a message with the path of the value, `$.files[...]`, and names fields in backticks.
_AT = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`$")
_NAMED = re.compile(r"^Object (?:contains )?(?P<what>unknown|missing required) field `(?P<name>.*)`$", re.DOTALL)
_GOT = re.compile(r", got `(?P<kind>[a-z]+)`$")
_STEP = re.compile(r"\[(?P<index>\d+|\.\.\.)\]|\.(?P<name>\w+)")
# msgspec calls an integer beyond 64 bits a float when it reads text, and an int when it converts.
_NUMBERS = {"int", "float"}
_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "array",
    dict: "object",
}


def decode(data: bytes | str, type_: type[T], *, where: str = "") -> T:
    """Value of `type_` from JSON text; `where` is put before the field's path in an error.

    Raises: ContractError, `invalid_json` when it is no JSON, else as `convert` does.
    """
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError as error:
        raise _refusal(error, where, _read_again(data)) from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ContractError("invalid_json", f"The body is not JSON: {error}.", where or None) from error
    except RecursionError as error:
        raise ContractError("invalid_json", "The body is nested too deeply.", where or None) from error


def convert(value: Any, type_: type[T], *, where: str = "") -> T:
    """Value of `type_` from decoded JSON.

    Raises: ContractError, `unknown_field`, `missing_field` or `invalid_type`, naming the field.
    """
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise _refusal(error, where, value) from error
    except RecursionError as error:
        raise ContractError("invalid_json", "The value is nested too deeply.", where or None) from error


def encode(value: Any) -> bytes:
    """JSON text. Raises: ContractError, when it is nested too deeply or holds half of a surrogate pair."""
    try:
        return msgspec.json.encode(value)
    except RecursionError as error:
        raise ContractError("invalid_json", "The value is nested too deeply.") from error
    except UnicodeEncodeError as error:
        raise ContractError("invalid_value", f"The value holds text that is no Unicode: {error.reason}.") from error


def encode_for_queue(value: Any) -> bytes:
    """As `encode`, in the characters that SQS takes.

    SQS takes those of XML 1.0 (SendMessage, "Message"): of what JSON leaves as it is, U+FFFE and U+FFFF are not
    among them. They stand inside strings only, so escaping them changes no value.
    """
    return encode(value).replace(b"\xef\xbf\xbe", b"\\ufffe").replace(b"\xef\xbf\xbf", b"\\uffff")


def _read_again(data: bytes | str) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _refusal(error: msgspec.ValidationError, where: str, document: Any) -> ContractError:
    text = str(error)
    at = _AT.search(text)
    sentence = text[: at.start()] if at else text
    got, named = _GOT.search(sentence), _NAMED.match(sentence)
    code = "invalid_type"
    parts = [where, *_place(at["path"] if at else "", document, got["kind"] if got else "")]
    if named:
        code = "unknown_field" if named["what"] == "unknown" else "missing_field"
        parts.append(named["name"])
    return ContractError(code, f"{sentence}.", ".".join(part for part in parts if part) or None)


def _place(path: str, document: Any, kind: str) -> list[str]:
    """Steps of msgspec's path. `[...]`, a key it does not name, is the first whose value is of the refused kind."""
    steps: list[str] = []
    for step in _STEP.finditer(path):
        name = step["name"] or step["index"]
        if name == "...":
            entries = document if isinstance(document, dict) else {}
            name = next((key for key, value in entries.items() if _is_of(value, kind)), None)
            if not isinstance(name, str):
                break
        steps.append(name)
        document = _inside(document, name)
    return steps


def _is_of(value: Any, kind: str) -> bool:
    known = _KINDS.get(type(value))
    return known == kind or {known, kind} == _NUMBERS


def _inside(document: Any, name: str) -> Any:
    if isinstance(document, dict):
        return document.get(name)
    return document[int(name)] if isinstance(document, list) and name.isdigit() and int(name) < len(document) else None
