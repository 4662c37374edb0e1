"""What to do with a message, given the record it points to."""

from dataclasses import dataclass
from enum import StrEnum

from agent.core.images import check_addresses
from agent.errors import InvalidJobError, WrongRuntimeError
from sd_async.contract.checks import (
    TYPES,
    check_context,
    check_files,
    check_input,
    check_not_others_input,
    check_output,
)
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Runtime
from sd_async.contract.messages import JobMessage
from sd_async.contract.records import Record
from sd_async.contract.states import FINAL, Status


class Step(StrEnum):
    CLAIM = "claim"
    ANNOUNCE = "announce"  # it has ended: say so again, then delete the message
    LEAVE = "leave"  # another agent runs it
    DROP = "drop"  # another agent runs it by another message, which stays in the queue until the job has ended


@dataclass(frozen=True, slots=True)
class Plan:
    """wait_s: for LEAVE, until the other agent's lease ends."""

    step: Step
    wait_s: int = 0


def plan(record: Record, message_id: str, now_ms: int) -> Plan:
    if record.status in FINAL:
        return Plan(Step.ANNOUNCE)
    lease_until_ms = record.lease_until_ms or 0
    if record.status is Status.QUEUED or lease_until_ms < now_ms:
        return Plan(Step.CLAIM)
    if record.message_id not in {None, message_id}:
        return Plan(Step.DROP)
    return Plan(Step.LEAVE, (lease_until_ms - now_ms) // 1000 + 1)


def worn_out(record: Record, max_attempts: int) -> ContractError | None:
    """Why a job is not begun again whose agent died with it. record: as it was when its lease had ended.

    A job that kills its agent never comes to the end at which its attempts are counted.
    """
    if record.attempt < max_attempts:
        return None
    return ContractError(
        "too_many_attempts", f"Given up after {record.attempt} attempts, the last of which ended with its agent."
    )


def check_message(
    message: JobMessage, name: str, runtime: Runtime, *, buckets: frozenset[str], input_bucket: str
) -> None:
    """Asked again of every job: a message may come from whoever may publish.

    name, runtime: what this agent serves. Raises: WrongRuntimeError, InvalidJobError.
    """
    if message.runtime != name:
        raise WrongRuntimeError(f"The job is for runtime `{message.runtime}`; this queue serves `{name}`.")
    if message.type not in TYPES[runtime.type]:
        offered = ", ".join(sorted(TYPES[runtime.type]))
        raise WrongRuntimeError(f"Runtime `{name}` is {runtime.type}, which does {offered}, not `{message.type}`.")
    try:
        check_input(message.input or {}, message.type)
        check_files(message.files, buckets)
        check_not_others_input(message.files, input_bucket)
        check_addresses(message.input or {}, message.files, buckets, input_bucket)
        check_output(message.output)
        check_context(message.context)
    except ContractError as problem:
        raise InvalidJobError(problem) from problem
