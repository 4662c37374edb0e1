"""Names that must be the same wherever they are made."""

import uuid


def job_id_of(message_id: str) -> str | None:
    """Id of a job that came straight to the topic: its SQS message id, None when that is no UUID."""
    try:
        return str(uuid.UUID(message_id))
    except ValueError:
        return None


def run_id(job_id: str, attempt: int) -> str:
    """Id of one attempt at the runtime: the job's own, then new ones, as a runtime may refuse or mix up repeats."""
    if attempt <= 1 and _is_uuid(job_id):
        return job_id
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{job_id}/{attempt}"))


def output_folder(output_key: str, job_id: str, attempt: int) -> str:
    """Folder of one attempt's files, so that an agent which lost its lease overwrites nothing."""
    own = output_key.rsplit("/", 1)[-1] == job_id
    return f"{output_key}/{attempt}" if own else f"{output_key}/{job_id}/{attempt}"


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
