"""What a stack is: `Pulumi.<stack>.yaml` as typed values, refused as a whole before the first resource."""

# ruff: noqa: RUF009 - `checked` is `dataclasses.field` with a check
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.schema import checked, many, member, nested, one_of, read, refuse_unknown, shown, text, whole
from sd_async.contract import limits
from sd_async.contract.jobs import RuntimeType

DEFAULT_PORTS = {RuntimeType.COMFYUI: 8188, RuntimeType.A1111: 7860}  # the ports they listen on when told nothing
HEALTH_PORT = 8081  # of the agent, in the same pod as the runtime

# A function's whole environment is at most 4 KB (Lambda quotas), and every runtime's name and bound lie in it.
MAX_RUNTIMES = 20
# The shortest limit of what is named after the stack is 64 (IAM roles, functions); the parts after it are below 24.
MAX_PREFIX_CHARS = 40
# Values that CloudWatch Logs takes (PutRetentionPolicy), up to two years.
LOG_RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731)

_IMAGE = r"[a-z0-9][a-z0-9._:/-]*?(:(?!latest\b)[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|(:[\w.-]+)?@sha256:[0-9a-f]{64})"
_image = text(
    _IMAGE, "image with a tag other than `latest` or a digest, such as `registry/name:1.2` or `name@sha256:…`"
)
# Releases of Helm can't end with a dash (helm.sh, chart best practices).
_name = text(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", "runtime name: a letter, then up to 19 of a-z, 0-9 and inner `-`")
_bucket = text(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "bucket name: 3 to 63 of a-z, 0-9, `.` and `-`")


class SettingsError(ValueError):
    """The stack's settings can't be used. problems: one sentence each, all that were found."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("The settings of this stack can't be used:\n" + "\n".join(f"  {line}" for line in problems))


@dataclass(frozen=True, kw_only=True)
class ScalingSettings:
    """Numbers of one runtime's ScaledObject. queue_length: jobs per agent, waiting and running ones together."""

    min_replicas: int = checked(whole(0, 1000), 0)
    max_replicas: int = checked(whole(1, 1000), 2)
    queue_length: int = checked(whole(1, 1000, "jobs"), 1)
    polling_interval_s: int = checked(whole(1, 3600, "seconds"), 10)
    cooldown_s: int = checked(whole(0, 86400, "seconds"), 300)


@dataclass(frozen=True, kw_only=True)
class RuntimeSettings:
    """One runtime. name: also the value of the message attribute that leads to its queue. port: of its HTTP server."""

    name: str = checked(_name)
    type: RuntimeType = checked(member(RuntimeType))
    image: str = checked(_image)
    port: int = checked(whole(1024, 65535))
    job_timeout_s: int = checked(whole(1, limits.MAX_TIMEOUT_S, "seconds"), 3600)
    scaling: ScalingSettings = checked(nested(ScalingSettings), ScalingSettings())


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """The queue agent. lease_s: how long a job stays with an agent that is silent; the queue's visibility timeout.

    max_attempts: deliveries before a job is given up; the queue's maxReceiveCount (1 to 1,000, SQS).
    """

    image: str = checked(_image)
    heartbeat_s: int = checked(whole(1, 3600, "seconds"), 5)
    lease_s: int = checked(whole(3, limits.MAX_TIMEOUT_S, "seconds"), 60)
    max_attempts: int = checked(whole(1, 1000), 5)
    log_level: str = checked(one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """The API and its functions. architecture: `host` is this machine's own, and its Python: for local mode only.

    rate_per_s, burst: of each key (the defaults are the public sample's; 10,000 and 5,000 are a region's quota).
    url_expiry_s: life of presigned URLs; they die with the credentials that signed them, 12 h at the latest.
    """

    architecture: str = checked(one_of("arm64", "x86_64", "host"), "arm64")
    python: str = checked(one_of("3.12", "3.13", "3.14"), "3.13")
    memory_mb: int = checked(whole(128, 10240, "MB"), 512)
    rate_per_s: int = checked(whole(1, 10000, "requests per second"), 30)
    burst: int = checked(whole(1, 5000, "requests"), 50)
    log_retention_days: int = checked(one_of(*LOG_RETENTION_DAYS), 30)
    url_expiry_s: int = checked(whole(60, 43200, "seconds"), 3600)


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """retention_days: life of a job's record, inputs and outputs. file_buckets: where `s3://` files may come from."""

    retention_days: int = checked(whole(1, 3650, "days"), 30)
    file_buckets: tuple[str, ...] = checked(many(_bucket, 0, 20), ())


@dataclass(frozen=True, kw_only=True)
class KubernetesSettings:
    """context: of the kubeconfig, where runtimes are released; None releases none."""

    context: str | None = checked(
        text(r"\S{1,253}", "context of a kubeconfig: 1 to 253 characters without spaces"), None
    )
    namespace: str = checked(
        text(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "namespace: up to 63 of a-z, 0-9 and inner `-`"), "sd-async"
    )


@dataclass(frozen=True, kw_only=True)
class Sections:
    """The sections of a stack file, each under the project's name: `sd-async:runtimes`."""

    runtimes: tuple[RuntimeSettings, ...] = checked(many(nested(RuntimeSettings), 1, MAX_RUNTIMES))
    agent: AgentSettings = checked(nested(AgentSettings))
    api: ApiSettings = checked(nested(ApiSettings), ApiSettings())
    storage: StorageSettings = checked(nested(StorageSettings), StorageSettings())
    kubernetes: KubernetesSettings = checked(nested(KubernetesSettings), KubernetesSettings())
    endpoint_url: str | None = checked(text(r"https?://[^\s/?#]+/?", "address such as `http://127.0.0.1:4566`"), None)


@dataclass(frozen=True, kw_only=True)
class Settings(Sections):
    """A whole stack. endpoint_url: where AWS's APIs are when not at AWS, for what runs on Kubernetes."""

    project: str
    stack: str
    region: str

    @property
    def function_architecture(self) -> str:
        """What Lambda calls the architecture; `host` runs on no Lambda, so that its name is of no consequence."""
        return "x86_64" if self.api.architecture == "host" else self.api.architecture


def parse(project: str, stack: str, config: Mapping[str, Any]) -> Settings:
    """Settings of a stack.

    config: full keys (`sd-async:runtimes`, `aws:region`) to values, or to JSON text, as Pulumi passes objects.
    Raises: SettingsError with everything that is wrong, each naming the key, the value, the bound and the way out.
    """
    problems: list[str] = []
    region = _region(config, problems)
    _check_prefix(project, stack, problems)
    own = {name.removeprefix(f"{project}:"): value for name, value in config.items() if name.startswith(f"{project}:")}
    fields = [field.name for field in dataclasses.fields(Sections)]
    refuse_unknown(own, fields, project, problems)
    plain = {name: _plain(value) for name, value in own.items() if name in fields}
    plain["runtimes"] = _with_ports(plain.get("runtimes"))
    sections = read(Sections, plain, project, problems)
    if sections is None:
        raise SettingsError([line.replace(f"{project}.", f"{project}:", 1) for line in problems])
    problems += [f"{project}:{line}" for line in _conflicts(sections)]
    if problems:
        raise SettingsError(problems)
    return Settings(project=project, stack=stack, region=region, **vars(sections))


def _region(config: Mapping[str, Any], problems: list[str]) -> str:
    region = config.get("aws:region")
    text(r"[a-z]{2,}(-[a-z]+)+-\d", "AWS region; set one, for example `aws:region: us-west-2`")(
        region, "aws:region", problems
    )
    return str(region)


def _check_prefix(project: str, stack: str, problems: list[str]) -> None:
    name = text(r"[a-z][a-z0-9-]*", "name that AWS takes everywhere: a letter, then a-z, 0-9 and `-`")
    name(project, "project", problems)
    name(stack, "stack", problems)
    if len(f"{project}-{stack}") > MAX_PREFIX_CHARS:
        problems.append(
            f"stack: {shown(project)}-{shown(stack)} has {len(project) + len(stack) + 1} characters and "
            f"{MAX_PREFIX_CHARS} fit in AWS's names; choose a shorter name for the stack."
        )


def _plain(value: Any) -> Any:
    """The value of JSON text; any other text is itself."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _with_ports(runtimes: Any) -> Any:
    """The runtimes with the port of their type, where they name none."""
    if not isinstance(runtimes, list):
        return runtimes
    return [_with_port(item) if isinstance(item, Mapping) else item for item in runtimes]


def _with_port(runtime: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = runtime.get("type")
    known = RuntimeType(kind) if isinstance(kind, str) and kind in list(RuntimeType) else RuntimeType.COMFYUI
    return {**runtime, "port": DEFAULT_PORTS[known]} if runtime.get("port") is None else runtime


def _conflicts(sections: Sections) -> Iterator[str]:
    """What is wrong between settings that are right by themselves."""
    for name, count in Counter(runtime.name for runtime in sections.runtimes).items():
        if count > 1:
            yield f"runtimes: {count} are named {name}; give each its own name, since queues are named after them."
    for index, runtime in enumerate(sections.runtimes):
        scaling = runtime.scaling
        if scaling.min_replicas > scaling.max_replicas:
            yield (
                f"runtimes[{index}].scaling.min_replicas: {scaling.min_replicas} is more than max_replicas, "
                f"{scaling.max_replicas}; lower the one or raise the other."
            )
        if runtime.port == HEALTH_PORT:
            yield f"runtimes[{index}].port: {HEALTH_PORT} is the agent's own in the same pod; choose another."
    agent = sections.agent
    if agent.lease_s < 3 * agent.heartbeat_s:
        yield (
            f"agent.lease_s: {agent.lease_s} is less than three heartbeats of {agent.heartbeat_s} s, so that one lost "
            f"message would hand a running job to another agent; set it to {3 * agent.heartbeat_s} or more."
        )
    if sections.api.architecture == "host" and sections.endpoint_url is None:
        yield "api.architecture: host is for local mode, which sets endpoint_url; choose arm64 or x86_64."
