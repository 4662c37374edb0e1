"""What may leave the process in a line: secrets, signatures and clients' data are taken out.

Three nets, since each has holes: by the field's name, by the shape of the text, by the very value where it is known.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import PurePath
from typing import Any

HIDDEN = "[hidden]"

_SENSITIVE = r"(?:secret|token|passw(?:or)?d|api[_-]?key|access[_-]?key|signature|credential|cookie|key[_-]pair)"
# Fields with what a client sent, or with a secret, whatever form it has.
_HIDDEN_NAME = re.compile(
    r"(?i)^(?:input|body|graph|workflow|text|context|files|headers|params|payload|content|node_errors)$"
    rf"|prompt|authorization|{_SENSITIVE}"
)
# A query may be a presigned URL's signature; what is before it says enough. The same inside another URL's query.
_QUERY = re.compile(r"(?i)(\b[a-z][\w+.-]{0,15}(?:://|%3A%2F%2F)[^\s?\"'<>]*?)(?:\?|%3F)[^\s\"'<>]*")
_USERINFO = re.compile(r"(?i)(\b[a-z][\w+.-]{0,15}://)[^/\s\"'<>]*@")
_AUTHORIZATION = re.compile(r"(?i)(authorization[\\\"']*\s*[:=,]\s*b?[\\\"']*)[^\r\n\"']+")
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+")
# `name=value`, `"name": "value"`, `(b'name', b'value')`, and what a query makes of the first.
_NAMED = re.compile(
    rf"(?i)({_SENSITIVE}[\w-]{{0,40}}(?:[\\\"']*\s*(?:[=:]|%3D)\s*|\\*[\"']\s*,\s*))"
    r"(?:\\*b?\\*\"(?:[^\"\\]|\\.)*\"?|\\*b?\\*'(?:[^'\\]|\\.)*'?|[^\s&\"',}]+)"
)
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
_WEB_TOKEN = re.compile(r"\beyJ[\w-]{4,}\.[\w-]+\.?[\w-]*")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|$)", re.DOTALL
)
# Names of fields, states and ids, which most texts of a line are. Each net above needs a capital letter, or one of
# space, `.`, `,`, `=`, `:`, `%`, `@` and quotes.
_HARMLESS = re.compile(r"[a-z0-9_-]*")
_SHORTEST_SECRET = 8  # characters; a shorter value would be found in words that mean something else
_LONGEST_TEXT = 16_384  # characters, many times what a line of ours has; CloudWatch cuts an event at 256 KiB
_DEEPEST = 12
_PLAIN = (date, timedelta, PurePath)


class Redaction:
    """secrets: values that must never come out, such as those of the environment."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({value for value in secrets if len(value) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def __call__(self, value: Any, depth: int = 0) -> Any:
        """The value as JSON can hold it. Of what is neither text, number nor collection only its kind is told."""
        if isinstance(value, str):
            return self.text(value)
        if _is_number(value):
            return value
        if isinstance(value, Mapping) and depth < _DEEPEST:
            return {self._name(name): self._field(name, item, depth + 1) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
            return [self(item, depth + 1) for item in value]
        return self.text(str(value)) if isinstance(value, _PLAIN) else f"<{type(value).__name__}>"

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = text[:_LONGEST_TEXT]
        if _HARMLESS.fullmatch(text):
            return text
        text = _PRIVATE_KEY.sub(HIDDEN, text)
        text = _USERINFO.sub(r"\1", _QUERY.sub(r"\1", text))
        text = _BEARER.sub(rf"\1{HIDDEN}", _AUTHORIZATION.sub(rf"\1{HIDDEN}", text))
        return _WEB_TOKEN.sub(HIDDEN, _KEY_ID.sub(HIDDEN, _NAMED.sub(rf"\1{HIDDEN}", text)))

    def _name(self, name: Any) -> str:
        return str(self(name, _DEEPEST))

    def _field(self, name: Any, value: Any, depth: int) -> Any:
        is_hidden = isinstance(name, str) and _HIDDEN_NAME.search(name) and not _is_number(value)
        return HIDDEN if is_hidden else self(value, depth)


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Values of variables whose names say that they are secret."""
    secret = re.compile(rf"(?i){_SENSITIVE}|headers")
    return [value for name, value in environment.items() if secret.search(name)]


def _is_number(value: Any) -> bool:
    """Whether it is none or a number that JSON has; a whole one of thousands of digits raises in `str`."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and value.bit_length() <= 64)
