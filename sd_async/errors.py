"""What a client raises, besides ContractError for a request that breaks the contract before it is sent.

SdAsyncError
├── UsageError    what the caller gave cannot be used: endpoint, key, id, configuration, file
├── ApiError      the API, or a gateway before it, answered and said no
├── Unreachable   there was no answer
├── WaitTimeout   the caller's deadline passed; the job goes on
└── SaveError     an output could not be written to this machine's disk
"""

from sd_async.contract.jobs import Job


class SdAsyncError(Exception):
    """One sentence for a person; `code` is for programs."""

    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageError(SdAsyncError, ValueError):
    code = "usage"


class ApiError(SdAsyncError):
    """An answer that is no success.

    status: HTTP status. code, field, request_id: from the API's error shape; where a gateway answered in
    its own words, `code` is `http_<status>`. retry_after_s: how long the answer asks to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        field: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class Unreachable(SdAsyncError):  # noqa: N818 - a fact about the network, said as one
    code = "unreachable"


class WaitTimeout(SdAsyncError):  # noqa: N818 - named like the standard library's TimeoutError without shadowing it
    """job: the job as it was last seen."""

    code = "wait_timeout"

    def __init__(self, message: str, job: Job) -> None:
        super().__init__(message)
        self.job = job


class SaveError(SdAsyncError):
    code = "not_saved"
