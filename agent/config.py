"""The agent's environment as one frozen value; every problem is told at once, by the variable's name."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.errors import ConfigError
from sd_async.contract.jobs import RuntimeType
from sd_async.contract.limits import MAX_TIMEOUT_S

SERVED_TYPES = tuple(RuntimeType)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("json", "text")
METRICS = ("prometheus", "emf", "both", "none")


@dataclass(frozen=True, slots=True)
class Config:
    """Times are seconds. file_buckets: all that `s3://` files may come from, the input bucket among them.

    output_folder: the runtime's own, where it is shared with the agent.
    jobs_ahead: messages taken while another job runs, at most; 0 for one job after the other.
    hung_after_s: silence of a running job after which it is given up; 0 for never. least_free_mib: memory of the host
    below which the runtime is started anew between jobs; 0 for never. runtime_wait_s: for one that does not answer, or
    does not let go of a job; a restarted ComfyUI is ready in 5 s, custom nodes and a cold disk take minutes.
    metrics: `prometheus` serves them, `emf` writes them into the closing lines. otlp_endpoint: None for no traces.
    """

    agent_id: str
    pod_ip: str
    runtime_name: str
    runtime_type: RuntimeType
    runtime_url: str
    queue_url: str
    jobs_table: str
    results_topic_arn: str
    output_bucket: str
    input_bucket: str
    file_buckets: frozenset[str]
    output_folder: Path | None
    job_timeout_s: int
    visibility_s: int
    heartbeat_s: int
    lease_s: int
    max_attempts: int
    grace_period_s: int
    jobs_ahead: int
    retention_days: int
    health_port: int
    log_level: str
    region: str
    endpoint_url: str | None
    hung_after_s: int = 900
    runtime_wait_s: int = 300
    least_free_mib: int = 0
    log_format: str = "json"
    metrics: str = "prometheus"
    otlp_endpoint: str | None = None

    @property
    def is_scraped(self) -> bool:
        return self.metrics in {"prometheus", "both"}

    @property
    def is_emf(self) -> bool:
        return self.metrics in {"emf", "both"}


def load(environment: Mapping[str, str]) -> Config:
    """Raises: ConfigError with one sentence per variable."""
    read = _Reader(environment)
    input_bucket = read.text("SD_INPUT_BUCKET")
    values: dict[str, Any] = {
        "agent_id": read.text("SD_AGENT_ID"),
        "pod_ip": read.address("SD_POD_IP"),
        "runtime_name": read.text("SD_RUNTIME_NAME"),
        "runtime_type": read.runtime_type("SD_RUNTIME_TYPE"),
        "runtime_url": read.url("SD_RUNTIME_URL"),
        "queue_url": read.url("SD_QUEUE_URL"),
        "jobs_table": read.text("SD_JOBS_TABLE"),
        "results_topic_arn": read.text("SD_RESULTS_TOPIC_ARN"),
        "output_bucket": read.text("SD_OUTPUT_BUCKET"),
        "input_bucket": input_bucket,
        "file_buckets": frozenset({input_bucket, *read.names("SD_FILE_BUCKETS")}),
        "output_folder": read.folder("SD_OUTPUT_FOLDER"),
        "job_timeout_s": read.whole("SD_JOB_TIMEOUT_S", 1, MAX_TIMEOUT_S),
        "visibility_s": read.whole("SD_VISIBILITY_S", 1, 43200),
        "heartbeat_s": read.whole("SD_HEARTBEAT_S", 1, MAX_TIMEOUT_S, default=5),
        "lease_s": read.whole("SD_LEASE_S", 3, MAX_TIMEOUT_S, default=60),
        "max_attempts": read.whole("SD_MAX_ATTEMPTS", 1, 1000),
        "grace_period_s": read.whole("SD_GRACE_PERIOD_S", 1, MAX_TIMEOUT_S + 600),
        "jobs_ahead": read.whole("SD_JOBS_AHEAD", 0, 32, default=16),
        "hung_after_s": read.whole("SD_HUNG_AFTER_S", 0, MAX_TIMEOUT_S, default=900),
        "runtime_wait_s": read.whole("SD_RUNTIME_WAIT_S", 1, 7200, default=300),
        "least_free_mib": read.whole("SD_LEAST_FREE_MIB", 0, 1024 * 1024, default=0),
        "retention_days": read.whole("SD_RETENTION_DAYS", 1, 3650),
        "health_port": read.whole("SD_HEALTH_PORT", 1, 65535, default=8081),
        "log_level": read.one_of("SD_LOG_LEVEL", LOG_LEVELS, default="INFO"),
        "region": read.text("AWS_REGION"),
        "endpoint_url": read.url_if_any("AWS_ENDPOINT_URL"),
        "log_format": read.one_of("SD_LOG_FORMAT", LOG_FORMATS, default="json"),
        "metrics": read.one_of("SD_METRICS", METRICS, default="prometheus"),
        "otlp_endpoint": read.url_if_any("OTEL_EXPORTER_OTLP_ENDPOINT"),
    }
    config = Config(**values)
    _refuse_conflicts(read, config)
    if read.problems:
        raise ConfigError(read.problems)
    return config


def _refuse_conflicts(read: "_Reader", config: Config) -> None:
    """What is wrong between variables that are right by themselves."""
    if config.lease_s < 3 * config.heartbeat_s:
        read.refuse(
            "SD_LEASE_S",
            f"is {config.lease_s} and must be at least three heartbeats of {config.heartbeat_s} s (SD_HEARTBEAT_S)",
        )
    if config.is_emf and config.log_format != "json":
        read.refuse("SD_METRICS", f"is `{config.metrics}`, which needs lines in JSON, and SD_LOG_FORMAT is `text`")


class _Reader:
    """Reads variables and notes what is wrong with them; a bad one reads as a value that is never used."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def refuse(self, name: str, what: str) -> None:
        self.problems.append(f"{name} {what}.")

    def text(self, name: str) -> str:
        value = self._environment.get(name, "").strip()
        if not value:
            self.refuse(name, "is not set")
        return value

    def names(self, name: str) -> list[str]:
        return [part.strip() for part in self._environment.get(name, "").split(",") if part.strip()]

    def folder(self, name: str) -> Path | None:
        """An absolute path, which need not exist yet: whoever shares it may make it later."""
        given = self._environment.get(name, "").strip()
        if given and not given.startswith("/"):
            self.refuse(name, f"is `{given}` and must be an absolute path")
        return Path(given) if given else None

    def whole(self, name: str, low: int, high: int, *, default: int | None = None) -> int:
        given = self._environment.get(name, "").strip()
        if not given and default is not None:
            return default
        if not given:
            self.refuse(name, "is not set")
        elif not given.isascii() or not given.isdigit() or not low <= int(given) <= high:
            self.refuse(name, f"is `{given}` and must be a whole number from {low} to {high}")
        else:
            return int(given)
        return low

    def one_of(self, name: str, choices: tuple[str, ...], *, default: str) -> str:
        value = self._environment.get(name, "").strip() or default
        if value not in choices:
            self.refuse(name, f"is `{value}` and must be one of {', '.join(choices)}")
        return value

    def runtime_type(self, name: str) -> RuntimeType:
        value = self.text(name)
        if value in SERVED_TYPES:
            return RuntimeType(value)
        if value:
            self.refuse(name, f"is `{value}` and must be one of {', '.join(SERVED_TYPES)}")
        return SERVED_TYPES[0]

    def url(self, name: str) -> str:
        value = self.text(name)
        if value and not _is_url(value):
            self.refuse(name, f"is `{value}` and must be an http:// or https:// address")
        return value.rstrip("/")

    def url_if_any(self, name: str) -> str | None:
        return self.url(name) if self._environment.get(name, "").strip() else None

    def address(self, name: str) -> str:
        value = self.text(name)
        try:
            ipaddress.ip_address(value)
        except ValueError:
            if value:
                self.refuse(name, f"is `{value}` and must be an IP address")
        return value


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
