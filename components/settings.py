"""What a stack is: `Pulumi.<stack>.yaml` as typed values, refused as a whole before the first resource."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components import queue_times, settings_cluster, settings_platform
from components.schema import checked, read, refuse_unknown, shown, text
from components.settings_cluster import ClusterSections, unreachable_registries
from components.settings_platform import FLUENT_BIT_IMAGES, PlatformSections
from components.settings_runtimes import (
    DEFAULT_PORTS,
    HEALTH_PORT,
    AgentSettings,
    CopySettings,
    ModelSettings,
    RuntimeSections,
    ScalingSettings,
)
from sd_async.contract.jobs import RuntimeType

# The shortest limit of what is named after the stack is 64 (IAM roles, functions); the longest part after it, of a
# runtime's agents, has 26.
MAX_PREFIX_CHARS = 37
MAX_CACHE_CHARS = 30  # of a cache's prefix (ECR API, CreatePullThroughCacheRule)


API_SERVICE = "execute-api"  # AWS's name of the service that answers for REST APIs


class SettingsError(ValueError):
    """The stack's settings can't be used. problems: one sentence each, all that were found."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("The settings of this stack can't be used:\n" + "\n".join(f"  {line}" for line in problems))


@dataclass(frozen=True, kw_only=True)
class Sections(ClusterSections, PlatformSections, RuntimeSections):
    """All sections of a stack file, the last base's first, each under the project's name: `sd-async:runtimes`."""

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

    @property
    def has_new_cluster(self) -> bool:
        """Whether the stack makes a cluster of its own, and the network around it unless one is named."""
        return self.cluster.create and self.kubernetes.context is None

    @property
    def interface_endpoints(self) -> tuple[str, ...]:
        """Services with an interface endpoint in the stack's own network: those that are named, and the API's own."""
        own = (API_SERVICE,) if self.api.private and API_SERVICE not in self.network.endpoints else ()
        return (*self.network.endpoints, *own)


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
    problems += [f"{project}:{line}" for line in _long_caches(f"{project}-{stack}", sections)]
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
        yield from _scaling_conflicts(f"runtimes[{index}].scaling", runtime.scaling)
        yield from _model_conflicts(f"runtimes[{index}].models", runtime.models)
        if runtime.port == HEALTH_PORT:
            yield f"runtimes[{index}].port: {HEALTH_PORT} is the agent's own in the same pod; choose another."
    yield from _image_conflicts(sections)
    yield from _digest_conflicts(sections)
    yield from _copy_conflicts(sections)
    yield from settings_platform.conflicts(sections)
    yield from settings_cluster.conflicts(sections)
    yield from _pool_conflicts(sections)
    yield from _reach_conflicts(sections)
    agent = sections.agent
    if agent.lease_s < 3 * agent.heartbeat_s:
        yield (
            f"agent.lease_s: {agent.lease_s} is less than three heartbeats of {agent.heartbeat_s} s, so that one lost "
            f"message would hand a running job to another agent; set it to {3 * agent.heartbeat_s} or more."
        )
    yield from _agent_conflicts(agent)
    yield from _waiting_conflicts(sections)
    if sections.api.architecture == "host" and sections.endpoint_url is None:
        yield "api.architecture: host is for local mode, which sets endpoint_url; choose arm64 or x86_64."


def _reach_conflicts(sections: Sections) -> Iterator[str]:
    """A private API without a network that is the stack's to change."""
    network = sections.network
    if sections.api.private and (sections.kubernetes.context or not sections.cluster.create or network.vpc_id):
        yield (
            f"api.private: an endpoint is made only in a network of the stack's own and this one has "
            f"{network.vpc_id or 'none'}; make one for execute-api where the callers are and name it in "
            "api.vpc_endpoint_id."
        )


def _image_conflicts(sections: Sections) -> Iterator[str]:
    """Images that neither a setting names nor the stack builds."""
    images = sections.images
    if images.build != "given" and images.repositories:
        return
    key, value = ("build", "given") if images.build == "given" else ("repositories", "false")
    for owner, image in _named_images(sections):
        if image is None:
            yield f"{owner}.image: is missing, and images.{key}: {value} builds none; name one, or leave {key} out."


def _digest_conflicts(sections: Sections) -> Iterator[str]:
    """Images that may change behind a release. Of a cluster that is there, images may be local and have no digest."""
    if sections.kubernetes.context or not sections.cluster.create:
        return
    for owner, image in _named_images(sections):
        if image and "@sha256:" not in image:
            yield (
                f"{owner}.image: {image} is a tag, which may come to name another image, and the stack's own cluster "
                f"takes digests; write {image}@sha256:… with the digest that is printed by `docker buildx imagetools "
                f"inspect {image}`."
            )


def _named_images(sections: Sections) -> list[tuple[str, str | None]]:
    """Each owner of an image by its key, with the image that its setting names."""
    runtimes = [(f"runtimes[{index}]", runtime.image) for index, runtime in enumerate(sections.runtimes)]
    return [*runtimes, ("agent", sections.agent.image)]


def _copy_conflicts(sections: Sections) -> Iterator[str]:
    """Images of controllers that nodes can't pull, where the stack can't copy them either."""
    images, watch, missing = sections.images, sections.observability, unreachable_registries(sections)
    out = "name a mirror that nodes reach, or set network.nat to single."
    if images.build != "codebuild" or not images.repositories:
        key, value = ("build", images.build) if images.build != "codebuild" else ("repositories", "false")
        for registry, public in missing.items():
            yield (
                f"cluster.registries.{registry}: with nat `none` nodes have no way to {public}, and images.{key}: "
                f"{value} copies no image from there; leave {key} out and they are copied, {out}"
            )
    if "ecr_public" in missing and watch.logs == "fluent-bit" and watch.fluent_bit not in FLUENT_BIT_IMAGES:
        yield (
            f"observability.fluent_bit: {watch.fluent_bit} is a chart whose image is not known here, so that it can't "
            f"be copied, and nodes have no way to it with nat `none`; choose {', '.join(FLUENT_BIT_IMAGES)}, or logs: "
            "cloudwatch-addon, or name a mirror in cluster.registries.ecr_public."
        )


def _long_caches(prefix: str, sections: Sections) -> Iterator[str]:
    for index, cache in enumerate(sections.images.caches):
        name = f"{prefix}/{cache.upstream}"
        if len(name) > MAX_CACHE_CHARS:
            yield (
                f"images.caches[{index}].upstream: {name} has {len(name)} characters and ECR takes {MAX_CACHE_CHARS}; "
                "choose a shorter name for the stack, or leave the cache out."
            )


def _agent_conflicts(agent: AgentSettings) -> Iterator[str]:
    if agent.writes_emf and agent.log_format != "json":
        yield (
            f"agent.metrics: {agent.metrics} are members of lines in JSON and agent.log_format is {agent.log_format}; "
            "choose json, or prometheus."
        )
    if agent.scrape != "no" and not agent.serves_prometheus:
        yield (
            f"agent.scrape: {agent.scrape} leads Prometheus to /metrics, which agent.metrics {agent.metrics} does not "
            "serve; choose no, or prometheus or both there."
        )


def _waiting_conflicts(sections: Sections) -> Iterator[str]:
    """An alarm about waiting jobs that never rings, as no queue keeps a job for so long."""
    watch, days = sections.observability, sections.storage.retention_days
    kept_s = min(queue_times.retention_s(sections.agent, each, record_days=days) for each in sections.runtimes)
    if watch.oldest_job_s >= kept_s:
        yield (
            f"observability.oldest_job_s: {watch.oldest_job_s} is an age that no job reaches in its queue, which keeps "
            f"one for {kept_s} s; set it lower, best to what a caller would wait."
        )


def _pool_conflicts(sections: Sections) -> Iterator[str]:
    """Runtimes whose agents would wait for nodes that may never be."""
    if sections.kubernetes.context or not sections.cluster.create:
        return
    pools = {pool.name: pool for pool in sections.karpenter.pools}
    if len(pools) < len(sections.karpenter.pools):
        yield "karpenter.pools: two have the same name; give each its own, since runtimes name them."
    for index, runtime in enumerate(sections.runtimes):
        if runtime.pool not in pools:
            yield (
                f"runtimes[{index}].pool: {runtime.pool} is none of karpenter.pools, {', '.join(pools)}; "
                "choose one of them or add it there."
            )
    for name, pool in pools.items():
        wanted = sum(runtime.scaling.max_replicas for runtime in sections.runtimes if runtime.pool == name)
        if wanted > pool.spot_gpus + pool.on_demand_gpus:
            yield (
                f"karpenter.pools: {name} allows {pool.spot_gpus + pool.on_demand_gpus} GPUs and its runtimes' "
                f"max_replicas ask for {wanted}; raise spot_gpus or on_demand_gpus, or lower max_replicas."
            )


def _model_conflicts(key: str, models: ModelSettings) -> Iterator[str]:
    if models.mode != "copy" and models.copy != CopySettings():
        yield f"{key}.copy: is set and mode is {models.mode}, which copies nothing; set mode to copy or remove it."
    if 0 < models.copy.refresh_s < 30:
        yield (
            f"{key}.copy.refresh_s: {models.copy.refresh_s} is neither 0 for never nor at least 30, as each look lists "
            "the bucket; choose one of them."
        )


def _scaling_conflicts(key: str, scaling: ScalingSettings) -> Iterator[str]:
    lower = {"min_replicas": scaling.min_replicas}
    if scaling.warm:
        lower["warm.replicas"] = scaling.warm.replicas
    for name, value in lower.items():
        if value > scaling.max_replicas:
            yield (
                f"{key}.{name}: {value} is more than max_replicas, {scaling.max_replicas}; lower the one or raise "
                "the other."
            )
