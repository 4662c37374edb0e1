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
_cron = text(r"[0-9*/,-]+( [0-9A-Za-z*/,-]+){4}", "five fields of cron such as `0 8 * * 1-5`")
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
class ModelSettings:
    """Where a runtime's models come from. mode: `mount` is its folder of the models bucket, `image` its own image.

    cache_gib: most that a node keeps of them on its disk.
    """

    mode: str = checked(one_of("mount", "image"), "mount")
    cache_gib: int = checked(whole(1, 10000, "GiB"), 50)


@dataclass(frozen=True, kw_only=True)
class RuntimeSettings:
    """One runtime. name: also the value of the message attribute that leads to its queue. port: of its HTTP server.

    pool: of `karpenter.pools`, whose nodes it runs on.
    """

    name: str = checked(_name)
    type: RuntimeType = checked(member(RuntimeType))
    image: str = checked(_image)
    port: int = checked(whole(1024, 65535))
    job_timeout_s: int = checked(whole(1, limits.MAX_TIMEOUT_S, "seconds"), 3600)
    pool: str = checked(_name, "gpu")
    models: ModelSettings = checked(nested(ModelSettings), ModelSettings())
    scaling: ScalingSettings = checked(nested(ScalingSettings), ScalingSettings())


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """The queue agent. lease_s: how long a job stays with an agent that is silent; the queue's visibility timeout.

    max_attempts: of a job before it is given up; the queue's maxReceiveCount is five more, at most 1,000 (SQS).
    """

    image: str = checked(_image)
    heartbeat_s: int = checked(whole(1, 3600, "seconds"), 5)
    lease_s: int = checked(whole(3, limits.MAX_TIMEOUT_S, "seconds"), 60)
    max_attempts: int = checked(whole(1, 1000), 5)
    log_level: str = checked(one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")


@dataclass(frozen=True, kw_only=True)
class RuntimeSections:
    """The sections of this file, as the stack file names them."""

    runtimes: tuple[RuntimeSettings, ...] = checked(many(nested(RuntimeSettings), 1, MAX_RUNTIMES))
    agent: AgentSettings = checked(nested(AgentSettings))
