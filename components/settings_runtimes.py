"""Settings of the runtimes and of the agent beside each of them."""

# ruff: noqa: RUF009 - `checked` is `dataclasses.field` with a check
from dataclasses import dataclass

from components.schema import checked, many, member, nested, one_of, optional, text, whole
from sd_async.contract import limits
from sd_async.contract.jobs import RuntimeType

DEFAULT_PORTS = {RuntimeType.COMFYUI: 8188, RuntimeType.A1111: 7860}  # the ports they listen on when told nothing
HEALTH_PORT = 8081  # of the agent, in the same pod as the runtime

# A function's whole environment is at most 4 KB (Lambda quotas), and every runtime's name and bound lie in it.
MAX_RUNTIMES = 20

_IMAGE = r"[a-z0-9][a-z0-9._:/-]*?(:(?!latest\b)[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|(:[\w.-]+)?@sha256:[0-9a-f]{64})"
_image = text(
    _IMAGE, "image with a tag other than `latest` or a digest, such as `registry/name:1.2` or `name@sha256:…`"
)
_collector = text(r"https?://[^\s/?#]+", "address such as `http://collector.observability:4318`")
_cron = text(r"[0-9*/,-]+( [0-9A-Za-z*/,-]+){4}", "five fields of cron such as `0 8 * * 1-5`")
_pattern = text(r"[^,\s]{1,200}", "pattern of files such as `diffusion_models/*.safetensors`")
# Releases of Helm can't end with a dash (helm.sh, chart best practices).
_name = text(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", "runtime name: a letter, then up to 19 of a-z, 0-9 and inner `-`")


@dataclass(frozen=True, kw_only=True)
class WarmSettings:
    """Agents that are kept through business hours, jobs or none. start, end: as in cron, in the time of timezone."""

    replicas: int = checked(whole(1, 1000), 1)
    start: str = checked(_cron, "0 8 * * 1-5")
    end: str = checked(_cron, "0 18 * * 1-5")
    timezone: str = checked(text(r"[A-Za-z]+(/[A-Za-z0-9_+-]+)*", "time zone such as `Europe/Berlin`"), "UTC")


@dataclass(frozen=True, kw_only=True)
class ScalingSettings:
    """Numbers of one runtime's ScaledObject. queue_length: jobs per agent, waiting and running ones together.

    warm: agents through business hours; without it none waits for jobs above min_replicas.
    """

    min_replicas: int = checked(whole(0, 1000), 0)
    max_replicas: int = checked(whole(1, 1000), 2)
    queue_length: int = checked(whole(1, 1000, "jobs"), 1)
    polling_interval_s: int = checked(whole(1, 3600, "seconds"), 10)
    cooldown_s: int = checked(whole(0, 86400, "seconds"), 300)
    warm: WarmSettings | None = checked(optional(WarmSettings), None)


@dataclass(frozen=True, kw_only=True)
class CopySettings:
    """How models are copied to the node's disk before the runtime starts.

    size_gib: of the volume that they are copied to. include: patterns of what is copied; all of the model folders when
    left out. gigabits_per_s: bandwidth to aim at. refresh_s: between two looks for new models while the runtime runs;
    0 for none, else 30 or more.
    """

    size_gib: int = checked(whole(1, 10000, "GiB"), 100)
    include: tuple[str, ...] = checked(many(_pattern, 0, 50), ())
    gigabits_per_s: int = checked(whole(1, 400, "Gbit/s"), 10)
    refresh_s: int = checked(whole(0, 86400, "seconds"), 0)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Where a runtime's models come from.

    mode: `mount` is its folder of the models bucket; `copy` is that folder too, copied to the node's disk first, which
    starts later and loads faster; `image` its own image. cache_gib: most that a node keeps of a mounted folder.
    """

    mode: str = checked(one_of("mount", "copy", "image"), "mount")
    cache_gib: int = checked(whole(1, 10000, "GiB"), 50)
    copy: CopySettings = checked(nested(CopySettings), CopySettings())


@dataclass(frozen=True, kw_only=True)
class RuntimeSettings:
    """One runtime. name: also the value of the message attribute that leads to its queue. port: of its HTTP server.

    image: its image, by digest where the cluster is the stack's own; built from this repository when left out.
    pool: of `karpenter.pools`, whose nodes it runs on.
    """

    name: str = checked(_name)
    type: RuntimeType = checked(member(RuntimeType))
    image: str | None = checked(_image, None)
    port: int = checked(whole(1024, 65535))
    job_timeout_s: int = checked(whole(1, limits.MAX_TIMEOUT_S, "seconds"), 3600)
    pool: str = checked(_name, "gpu")
    models: ModelSettings = checked(nested(ModelSettings), ModelSettings())
    scaling: ScalingSettings = checked(nested(ScalingSettings), ScalingSettings())


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """The queue agent. image: as a runtime's.

    lease_s: how long a job stays with an agent that is silent, at most; also the queue's visibility timeout. A runtime
    whose job_timeout_s and 120 s of settling are less has that, but no less than three heartbeats.
    max_attempts: of a job before it is given up; the queue's maxReceiveCount is five more, at most 1,000 (SQS).
    metrics: `prometheus` serves them on each pod; `emf` writes them into the log, of which CloudWatch makes metrics
    where the cluster's logs go there. scrape: how a Prometheus is told of the pods; `pod_monitor` needs its operator.
    traces_url: of an OpenTelemetry collector (OTLP over HTTP) in the cluster.
    """

    image: str | None = checked(_image, None)
    heartbeat_s: int = checked(whole(1, 3600, "seconds"), 5)
    lease_s: int = checked(whole(3, limits.MAX_TIMEOUT_S, "seconds"), 60)
    max_attempts: int = checked(whole(1, 1000), 5)
    log_level: str = checked(one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
    log_format: str = checked(one_of("json", "text"), "json")
    metrics: str = checked(one_of("prometheus", "emf", "both", "none"), "prometheus")
    scrape: str = checked(one_of("no", "annotations", "pod_monitor"), "no")
    traces_url: str | None = checked(_collector, None)

    @property
    def serves_prometheus(self) -> bool:
        return self.metrics in {"prometheus", "both"}

    @property
    def writes_emf(self) -> bool:
        return self.metrics in {"emf", "both"}


@dataclass(frozen=True, kw_only=True)
class RuntimeSections:
    """The sections of this file, as the stack file names them."""

    runtimes: tuple[RuntimeSettings, ...] = checked(many(nested(RuntimeSettings), 1, MAX_RUNTIMES))
    agent: AgentSettings = checked(nested(AgentSettings), AgentSettings())
