"""Values of the chart `sd-runtime` for one runtime of a stack."""

from dataclasses import dataclass
from typing import Any

from components import naming
from components.queue_times import SETTLING_MARGIN_S, visibility_s
from components.settings import Settings
from components.settings_runtimes import HEALTH_PORT, AgentSettings, RuntimeSettings

POOL_LABEL = "sd-async/pool"  # of GPU nodes: which of `karpenter.pools` they belong to

RESTARTS_PODS_SINCE = (1, 36)  # RestartAllContainersOnContainerExits is on by default (Kubernetes, feature gates)
GRACE_MARGIN_S = SETTLING_MARGIN_S  # a pod that is stopped still ends its longest job


@dataclass(frozen=True, kw_only=True)
class RuntimeAddresses:
    """Where the stack's own resources are, and the images, with a tag or a digest."""

    queue_url: str
    jobs_table: str
    output_bucket: str
    input_bucket: str
    models_bucket: str
    results_topic_arn: str
    runtime_image: str
    agent_image: str


def values_for(
    settings: Settings, runtime: RuntimeSettings, addresses: RuntimeAddresses, models_claim: str = ""
) -> dict[str, Any]:
    """What `helm/sd-runtime/VALUES.md` describes, as far as the stack decides it; the rest are the chart's defaults."""
    agent, hidden_s = settings.agent, visibility_s(settings.agent, runtime)
    # Nodes of an existing cluster are its owner's, with labels that the stack does not know
    nodes = {} if settings.kubernetes.context else {"nodeSelector": {POOL_LABEL: runtime.pool}}
    return (
        nodes
        | _models(runtime, addresses, models_claim)
        | {
            "runtime": {
                "name": runtime.name,
                "type": runtime.type.value,
                "image": image_values(addresses.runtime_image),
                "port": runtime.port,
            },
            "agent": {
                "image": image_values(addresses.agent_image),
                "healthPort": HEALTH_PORT,
                "logLevel": agent.log_level,
                "logFormat": agent.log_format,
                "restartsPod": _restarts_pods(settings),
            },
            "job": {
                "timeoutSeconds": runtime.job_timeout_s,
                "heartbeatSeconds": agent.heartbeat_s,
                "leaseSeconds": hidden_s,
                "maxAttempts": agent.max_attempts,
                "retentionDays": settings.storage.retention_days,
            },
            "queue": {"url": addresses.queue_url, "visibilityTimeoutSeconds": hidden_s},
            "store": {
                "jobsTable": addresses.jobs_table,
                "outputBucket": addresses.output_bucket,
                "inputBucket": addresses.input_bucket,
                "fileBuckets": list(settings.storage.file_buckets),
                "resultsTopicArn": addresses.results_topic_arn,
            },
            "aws": {"region": settings.region, "endpointUrl": settings.endpoint_url or ""},
            "observability": _observability(agent),
            "terminationGracePeriodSeconds": runtime.job_timeout_s + GRACE_MARGIN_S,
        }
    )


def _models(runtime: RuntimeSettings, addresses: RuntimeAddresses, claim: str) -> dict[str, Any]:
    """Nothing for what the image brings, which is the chart's default, or for a mount without a volume of ours."""
    copied = runtime.models.copy
    if runtime.models.mode == "copy":
        return {
            "models": {
                "mode": "copy",
                "bucket": addresses.models_bucket,
                "prefix": naming.models_prefix(runtime.name),
                "copy": {
                    "size": f"{copied.size_gib}Gi",
                    "include": list(copied.include),
                    "gigabitsPerSecond": copied.gigabits_per_s,
                    "refreshSeconds": copied.refresh_s,
                },
            }
        }
    return {"models": {"mode": "mount", "mount": {"claim": claim}}} if claim else {}


def _restarts_pods(settings: Settings) -> bool:
    """Whether a container's end can start its pod's others anew; the version of an existing cluster is not known."""
    version = tuple(int(part) for part in settings.cluster.version.split("."))
    return settings.kubernetes.context is None and version >= RESTARTS_PODS_SINCE


def _observability(agent: AgentSettings) -> dict[str, Any]:
    return {
        "metrics": agent.metrics,
        "scrapeAnnotations": agent.scrape == "annotations",
        "podMonitor": {"enabled": agent.scrape == "pod_monitor"},
        "otlpEndpoint": agent.traces_url or "",
    }


def image_values(image: str) -> dict[str, str]:
    """`repository[:tag][@digest]` in its parts; a part that is not there is empty."""
    name, _, digest = image.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")  # a colon before the last slash is a registry's port
    return {"repository": f"{folder}{slash}{last}", "tag": tag, "digest": digest}
