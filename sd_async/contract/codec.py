"""Decoding that ends in a value or in one ContractError naming the field, nothing else."""

import re
from typing import Any, TypeVar

import msgspec

from sd_async.contract.errors import ContractError

T = TypeVar("T")

# msgspec ends a message with the path of the value, `$.files[...]`, and names fields in backticks.
_AT = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
_NAMED = re.compile(r"(?P<what>unknown|missing required) field `(?P<name>[^`]*)`")


def decode(data: bytes | str, type_: type[T], *, where: str = "") -> T:
    """Value of `type_` from JSON text; `where` is put before the field's path in an error.

    Raises: ContractError, `invalid_json` when it is no JSON, else as `convert` does.
    """
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError as error:
        raise _refusal(error, where) from error
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
        raise _refusal(error, where) from error
    except RecursionError as error:
        raise ContractError("invalid_json", "The value is nested too deeply.", where or None) from error


def encode(value: Any) -> bytes:
    """JSON text. Raises: ContractError, when it is nested too deeply to be written."""
    try:
        return msgspec.json.encode(value)
    except RecursionError as error:
        raise ContractError("invalid_json", "The value is nested too deeply.") from error


def _refusal(error: msgspec.ValidationError, where: str) -> ContractError:
    text = str(error)
    at, named = _AT.search(text), _NAMED.search(text)
    code = "invalid_type"
    parts = [where, at["path"] if at else ""]
    if named:
        code = "unknown_field" if named["what"] == "unknown" else "missing_field"
        parts.append(named["name"])
    field = ".".join(part for part in parts if part)
    sentence = _AT.sub("", text)
    return ContractError(code, f"{sentence}.", field or None)
