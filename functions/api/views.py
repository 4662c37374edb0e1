"""A record as the API shows it."""

from collections.abc import Callable

import msgspec

from sd_async.contract.jobs import Job, JobUrls, Metrics, Output, Progress
from sd_async.contract.records import Record
from sd_async.contract.states import Status
from sd_async.contract.times import rfc3339


def job_view(
    record: Record, bucket: str, url_for: Callable[[str], str], urls_expire_at_ms: int, waiting: str | None
) -> Job:
    """Record of any state. bucket: the output bucket. url_for: a presigned URL of one of its keys.

    waiting: why it does, in words; None when it does not.
    """
    expiry = rfc3339(urls_expire_at_ms)
    return Job(
        id=record.id,
        runtime=record.runtime,
        type=record.type,
        status=record.status,
        created_at=rfc3339(record.created_at_ms),
        started_at=_moment(record.started_at_ms),
        completed_at=_moment(record.completed_at_ms),
        expires_at=rfc3339(record.expires_at_s * 1000),
        attempts=record.attempt,
        progress=_progress(record),
        metrics=_metrics(record),
        outputs=[
            Output(
                name=output.name,
                type=output.type,
                content_type=output.content_type,
                size_bytes=output.size_bytes,
                node_id=output.node_id,
                s3_uri=f"s3://{bucket}/{output.key}",
                url=url_for(output.key),
                url_expires_at=expiry,
            )
            for output in record.outputs
        ],
        output_location=f"s3://{bucket}/{record.output_key}",
        error=record.error,
        context=record.context,
        urls=JobUrls(self=f"/v1/jobs/{record.id}"),
        waiting=waiting,
    )


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def _progress(record: Record) -> Progress:
    if record.status is Status.SUCCEEDED:  # the last heartbeat may have written less
        return msgspec.structs.replace(record.progress, value=1.0)
    return record.progress


def _metrics(record: Record) -> Metrics:
    return Metrics(
        queue_ms=_between(record.created_at_ms, record.started_at_ms),
        fetch_ms=record.phases.fetch_ms,
        load_ms=record.phases.load_ms,
        execution_ms=record.phases.execution_ms,
        store_ms=record.phases.store_ms,
        total_ms=_between(record.created_at_ms, record.completed_at_ms),
    )


def _between(start_ms: int, end_ms: int | None) -> int | None:
    """Never negative: the two clocks are those of different machines."""
    return None if end_ms is None else max(0, end_ms - start_ms)
