"""The functions' environment, parsed once when they start; a missing or wrong variable fails the start by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from sd_async.contract.codec import decode
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Runtime

# A SigV4 URL lives at most 7 days (S3 user guide, "Sharing objects with presigned URLs").
MAX_URL_S = 7 * 24 * 60 * 60
MAX_RETENTION_DAYS = 3650


class EnvError(ValueError):
    """A variable is missing or wrong; the message names it."""


@dataclass(frozen=True, slots=True)
class Env:
    """What a deployment tells its functions.

    file_buckets: where `s3://` files may come from, the input bucket included.
    endpoint_url: of an AWS emulator; None on AWS.
    """

    region: str
    jobs_table: str
    jobs_topic_arn: str
    results_topic_arn: str
    output_bucket: str
    input_bucket: str
    file_buckets: frozenset[str]
    runtimes: Mapping[str, Runtime]
    retention_s: int
    url_s: int
    endpoint_url: str | None


def load(environ: Mapping[str, str]) -> Env:
    """Raises: EnvError naming the variable."""
    input_bucket = text(environ, "SD_INPUT_BUCKET")
    return Env(
        region=text(environ, "AWS_REGION"),
        jobs_table=text(environ, "SD_JOBS_TABLE"),
        jobs_topic_arn=text(environ, "SD_JOBS_TOPIC_ARN"),
        results_topic_arn=text(environ, "SD_RESULTS_TOPIC_ARN"),
        output_bucket=text(environ, "SD_OUTPUT_BUCKET"),
        input_bucket=input_bucket,
        file_buckets=frozenset({input_bucket, *_names(environ, "SD_FILE_BUCKETS")}),
        runtimes=_runtimes(environ, "SD_RUNTIMES"),
        retention_s=_number(environ, "SD_RETENTION_DAYS", MAX_RETENTION_DAYS) * 24 * 60 * 60,
        url_s=_number(environ, "SD_URL_SECONDS", MAX_URL_S),
        endpoint_url=environ.get("AWS_ENDPOINT_URL") or None,
    )


def _present(environ: Mapping[str, str], name: str) -> str:
    if name not in environ:
        raise EnvError(f"The environment variable {name} is missing.")
    return environ[name].strip()


def text(environ: Mapping[str, str], name: str) -> str:
    """The variable, which must be there and not empty. Raises: EnvError naming it."""
    if value := _present(environ, name):
        return value
    raise EnvError(f"The environment variable {name} is empty.")


def _names(environ: Mapping[str, str], name: str) -> list[str]:
    return [part.strip() for part in _present(environ, name).split(",") if part.strip()]


def _number(environ: Mapping[str, str], name: str, most: int) -> int:
    value = text(environ, name)
    if value.isascii() and value.isdigit() and 1 <= int(value) <= most:
        return int(value)
    raise EnvError(f"The environment variable {name} is `{value}`; it is a whole number from 1 to {most}.")


def _runtimes(environ: Mapping[str, str], name: str) -> dict[str, Runtime]:
    try:
        runtimes = decode(text(environ, name), dict[str, Runtime])
    except ContractError as error:
        raise EnvError(
            f"The environment variable {name} is not {{name: {{type, timeout_seconds}}}}: {error}"
        ) from error
    if not runtimes:
        raise EnvError(f"The environment variable {name} names no runtime.")
    return runtimes
