"""How the web UI says no: one shape for what it refuses, one for what was raised, one for wrong types."""

from typing import Any


class RefusedError(Exception):
    """Refused by a handler: `HTTPException` over there."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.body: dict[str, Any] = {"error": "HTTPException", "detail": detail, "body": "", "errors": ""}


class RaisedError(Exception):
    """Raised while it generated. kind: name of the exception's class over there."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.status = 500
        self.body: dict[str, Any] = {"error": kind, "detail": "", "body": "", "errors": words}


class MistypedError(Exception):
    """A field of a wrong type, or one that is missing."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.status = 422
        place = ["body", *field.split(".")] if field else ["body"]
        self.body: dict[str, Any] = {"detail": [{"loc": place, "msg": words, "type": "type_error"}]}
