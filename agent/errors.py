"""Everything that can go wrong, by what becomes of the job.

AgentError
├── JobError                  no delivery can succeed: the job is recorded as failed, announced and deleted
│   ├── InvalidJobError       what the message asks for breaks the contract (carries the contract's own code)
│   ├── WrongRuntimeError     the job is for another runtime, or of a type that this one does not do
│   ├── BadFileError          an input file is refused, missing or too large
│   ├── InvalidWorkflowError  the runtime refuses the graph, or part of it
│   ├── NodeFailedError       a node failed while the graph ran
│   ├── OutOfMemoryError      the memory of the GPU, or of its host, is too small for it
│   ├── NoOutputsError        the graph ran and nothing came out
│   ├── TooManyOutputsError   the graph made more files than a record can name
│   ├── OutputFormatError     a picture cannot be delivered as it was asked for
│   └── JobTimeoutError       the job took longer than it may
├── CanceledError             the client wants no result: recorded as canceled, announced and deleted
├── TransientError            the next delivery may succeed: the claim is given back, the message waits
│   ├── AwsUnavailableError   AWS throttles, fails or cannot be reached, beyond botocore's own retries
│   ├── AwsRefusedError       AWS refuses a call for a reason that is none of the others
│   ├── SourceUnavailableError  the server of an input file fails or is too slow
│   ├── RuntimeFaultError     the runtime answers, but with a fault of its own
│   └── RuntimeStuckError     the runtime has the job and gets on with nothing
├── HandBackError             another agent should have it now: the claim is given back, the message is visible at once
│   ├── RuntimeLostError      the runtime is gone, and with it the job's progress
│   ├── StoppedError          this agent is being stopped and the job does not fit in the time left
│   └── NotBegunError         it was claimed and its turn did not come; it counts as no attempt
├── LeaseLostError            the job is no longer ours: nothing more is written about it
└── FatalError                this process is unfit: the claim is given back and the process ends
    ├── ConfigError           the environment does not say what the agent needs
    ├── AwsUnusableError      credentials, permissions, or a queue, table, topic or bucket that is not there
    ├── RuntimeGoneError      the runtime did not come back, or did not let go of a job, within the limit
    └── RuntimeFullError      the runtime leaves too little memory and is to be started anew
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from sd_async.contract import jobs
from sd_async.contract.errors import ContractError


class AgentError(Exception):
    """code: what the record and the log call it."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    @property
    def detail(self) -> jobs.JobError:
        """What a record holds about it."""
        return jobs.JobError(code=self.code, message=self.message)


class JobError(AgentError):
    """message: for the client, with the value, the bound and the way out. node_errors: the runtime's own words."""

    code = "failed"

    def __init__(
        self,
        message: str,
        *,
        node_id: str | None = None,
        class_type: str | None = None,
        node_errors: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.node_id = node_id
        self.class_type = class_type
        self.node_errors = node_errors

    @property
    def detail(self) -> jobs.JobError:
        return jobs.JobError(
            code=self.code,
            message=self.message,
            node_id=self.node_id,
            class_type=self.class_type,
            node_errors=self.node_errors,
        )


class InvalidJobError(JobError):
    code = "invalid_job"

    def __init__(self, problem: ContractError) -> None:
        super().__init__(str(problem))
        self.problem = problem

    @property
    def detail(self) -> jobs.JobError:
        return jobs.JobError(code=self.problem.code, message=str(self.problem))


class WrongRuntimeError(JobError):
    code = "wrong_runtime"


class BadFileError(JobError):
    code = "bad_file"


class InvalidWorkflowError(JobError):
    code = "invalid_workflow"


class NodeFailedError(JobError):
    code = "node_execution_error"


class OutOfMemoryError(JobError):
    code = "out_of_memory"


class NoOutputsError(JobError):
    code = "no_outputs"


class TooManyOutputsError(JobError):
    code = "too_many_outputs"


class OutputFormatError(JobError):
    code = "output_format"


class JobTimeoutError(JobError):
    code = "timeout"


class CanceledError(AgentError):
    code = "canceled"


class TransientError(AgentError):
    code = "transient"


class AwsUnavailableError(TransientError):
    code = "aws_unavailable"


class AwsRefusedError(TransientError):
    code = "aws_refused"


class SourceUnavailableError(TransientError):
    code = "source_unavailable"


class RuntimeFaultError(TransientError):
    code = "runtime_fault"


class RuntimeStuckError(TransientError):
    code = "runtime_stuck"


class HandBackError(AgentError):
    code = "handed_back"


class RuntimeLostError(HandBackError):
    code = "runtime_lost"


class StoppedError(HandBackError):
    code = "stopped"


class NotBegunError(HandBackError):
    code = "not_begun"


class LeaseLostError(AgentError):
    code = "lease_lost"


class FatalError(AgentError):
    code = "fatal"


class ConfigError(FatalError):
    """problems: one sentence per variable, each beginning with its name."""

    code = "config"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class AwsUnusableError(FatalError):
    code = "aws_unusable"


class RuntimeGoneError(FatalError):
    code = "runtime_gone"


class RuntimeFullError(FatalError):
    code = "runtime_full"
