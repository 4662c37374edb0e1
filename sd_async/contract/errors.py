"""One error for everything that does not fit the contract."""


class ContractError(ValueError):
    """What was given breaks the contract; nothing else leaves the decoders.

    code: one of the codes in `docs/job-contract.md`. field: dotted path of the offending field
    (`files.pose`, `task.metadata.prefix`), None when the whole document is at fault.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message
