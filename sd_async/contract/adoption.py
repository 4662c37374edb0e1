"""Jobs that are met on a queue before anybody has recorded them; the agent and the dead-letter handler may."""

import re

from sd_async.contract import checks
from sd_async.contract.errors import ContractError
from sd_async.contract.messages import DirectJob, JobMessage
from sd_async.contract.records import Record, context_text
from sd_async.contract.states import Status
from sd_async.contract.traces import parse_trace

TOPIC_OWNER = "topic"  # owner of jobs that no API key submitted
_DAY_S = 24 * 60 * 60
_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_job_id(text: str) -> bool:
    """Whether it is a lower-case UUID, as all our ids are."""
    return _JOB_ID.fullmatch(text) is not None


def adopted(
    direct: DirectJob, job_id: str, *, timeout_s: int, created_at_ms: int
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
        checks.check_context(context)
    except ContractError as error:
        problem, context, client_id, prefix = error, None, None, ""
    message = JobMessage(
        sd_async=1,
        id=job_id,
        owner=TOPIC_OWNER,
        runtime=asked.runtime,
        type=asked.type,
        created_at_ms=created_at_ms,
        timeout_seconds=timeout_s,
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
        owner=message.owner or TOPIC_OWNER,  # a key of an index, which cannot be empty
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
        trace=message.trace if parse_trace(message.trace) else None,
    )
