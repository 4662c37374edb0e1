"""What to do with a message, given the record it points to."""

from dataclasses import dataclass
from enum import StrEnum

from agent.errors import InvalidJobError, WrongRuntimeError
from sd_async.contract import checks
from sd_async.contract.checks import TYPES, check_context, check_files, check_input, check_not_others_input
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Runtime
from sd_async.contract.messages import DirectJob, JobMessage
from sd_async.contract.records import Record, context_text
from sd_async.contract.states import FINAL, Status

TOPIC_OWNER = "topic"  # owner of jobs that no API key submitted
_DAY_S = 24 * 60 * 60


class Step(StrEnum):
    CLAIM = "claim"
    ANNOUNCE = "announce"  # it has ended: say so again, then delete the message
    LEAVE = "leave"  # another agent runs it


@dataclass(frozen=True, slots=True)
class Plan:
    """wait_s: for LEAVE, until the other agent's lease ends."""

    step: Step
    wait_s: int = 0


def plan(record: Record, now_ms: int) -> Plan:
    if record.status in FINAL:
        return Plan(Step.ANNOUNCE)
    lease_until_ms = record.lease_until_ms or 0
    if record.status is Status.QUEUED or lease_until_ms < now_ms:
        return Plan(Step.CLAIM)
    return Plan(Step.LEAVE, (lease_until_ms - now_ms) // 1000 + 1)


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
        check_context(message.context)
    except ContractError as problem:
        raise InvalidJobError(problem) from problem


def adopted(
    direct: DirectJob, job_id: str, runtime: Runtime, *, created_at_ms: int
) -> tuple[JobMessage, ContractError | None]:
    """Our own message for a job published straight to the topic, and what is wrong with it.

    What is wrong is left out of the message, so that the failure can be recorded and announced all the same.
    """
    asked, problem = direct.request, None
    prefix, context, client_id = "", asked.context, asked.client_id
    try:
        if client_id is not None:
            checks.check_client_id(client_id, "id")
        prefix = checks.clean_prefix(asked.output_prefix, "prefix")
        check_context(context)
    except ContractError as error:
        problem, context, client_id, prefix = error, None, None, ""
    message = JobMessage(
        sd_async=1,
        id=job_id,
        owner=TOPIC_OWNER,
        runtime=asked.runtime,
        type=asked.type,
        created_at_ms=created_at_ms,
        timeout_seconds=runtime.timeout_seconds,
        output_key=checks.output_key(prefix, client_id or job_id),
        input=asked.input,
        context=context,
        form=direct.form,
        client_id=client_id,
    )
    return message, problem


def first_record(message: JobMessage, *, now_ms: int, retention_days: int) -> Record:
    """Record of a job that has none yet, waiting to be claimed."""
    return Record(
        id=message.id,
        owner=message.owner,
        runtime=message.runtime,
        type=message.type,
        status=Status.QUEUED,
        created_at_ms=message.created_at_ms,
        updated_at_ms=now_ms,
        expires_at_s=now_ms // 1000 + retention_days * _DAY_S,
        timeout_seconds=message.timeout_seconds,
        output_key=message.output_key,
        form=message.form,
        client_id=message.client_id,
        context_json=context_text(message.context),
    )
