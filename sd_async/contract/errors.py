"""One error for everything that does not fit the contract."""

MAX_MESSAGE_CHARS = 1000
MAX_FIELD_CHARS = 300


class ContractError(ValueError):
    """What was given breaks the contract; nothing else leaves the decoders.

    code: one of the codes in `docs/job-contract.md`. field: dotted path of the offending field
    (`files.pose`, `task.metadata.prefix`), None when the whole document is at fault. Both are shortened to
    what an answer can hold, since they may quote what the client sent.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(code, message, field)
        self.code = code
        self.message = _shortened(message, MAX_MESSAGE_CHARS)
        self.field = field and _shortened(field, MAX_FIELD_CHARS)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
