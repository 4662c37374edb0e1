"""KEDA's documents: how many agents a runtime has, from the length of its queue."""

from typing import Any

from components.settings_runtimes import RuntimeSettings, ScalingSettings

Json = dict[str, Any]

# The HPA picks the pod to remove without knowing who is busy (kedacore/keda#6719), so it takes them one by one,
# and only when nothing asked for more during the last minutes: a job that starts meanwhile keeps its agent.
SCALE_DOWN_WINDOW_S = 300
SCALE_DOWN_PERIOD_S = 60
HPA_SYNC_S = 15  # default of the HPA's loop (Kubernetes, `--horizontal-pod-autoscaler-sync-period`)

# Reads in a row that may fail before the fallback holds: a throttled call or a restart is over by then.
FAILURES_BEFORE_FALLBACK = 3


def scaled_object(
    runtime: RuntimeSettings,
    *,
    queue_url: str,
    region: str,
    namespace: str,
    deployment: str,
    endpoint_url: str | None = None,
) -> Json:
    """The ScaledObject of one runtime. endpoint_url: address of AWS's APIs when they are not at AWS.

    Source of fields and defaults: KEDA documentation, "ScaledObject specification" and "AWS SQS Queue".
    """
    scaling = runtime.scaling
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": deployment, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicaCount": scaling.min_replicas,
            "maxReplicaCount": scaling.max_replicas,
            "pollingInterval": scaling.polling_interval_s,
            "cooldownPeriod": scaling.cooldown_s,
            "fallback": _fallback(scaling.min_replicas),
            "advanced": {
                # A Deployment without `replicas` began with one: to go back to that would start a GPU at `destroy`.
                "restoreToOriginalReplicaCount": False,
                "horizontalPodAutoscalerConfig": {"behavior": _behavior(scaling.max_replicas)},
            },
            "triggers": [
                {
                    "type": "aws-sqs-queue",
                    "metricType": "AverageValue",
                    "metadata": _metadata(queue_url, scaling.queue_length, region, endpoint_url),
                },
                *_warm(scaling),
            ],
        },
    }


def _metadata(queue_url: str, queue_length: int, region: str, endpoint_url: str | None) -> dict[str, str]:
    """Trigger metadata; KEDA takes text only, and ignores `scaleOnInFlight` anywhere else."""
    metadata = {
        "queueURL": queue_url,
        "queueLength": str(queue_length),
        "awsRegion": region,
        "scaleOnInFlight": "true",  # a running job is in flight, and its agent must stay
        "identityOwner": "operator",  # `workload` fails with EKS Pod Identity
    }
    return metadata | ({"awsEndpoint": endpoint_url} if endpoint_url else {})


def _warm(scaling: ScalingSettings) -> list[Json]:
    """The trigger that keeps agents through business hours; of two triggers the larger number holds."""
    if scaling.warm is None:
        return []
    warm = scaling.warm
    hours = {"timezone": warm.timezone, "start": warm.start, "end": warm.end}
    return [{"type": "cron", "metadata": hours | {"desiredReplicas": str(warm.replicas)}}]


def _fallback(min_replicas: int) -> Json:
    """What holds while the queue's length can't be read.

    No agent goes, since the running ones may well be busy. Without any, one starts: agents may reach SQS when KEDA
    can't, a queue worked off slowly is better than one that waits for ever, and one GPU is what an outage may cost.
    With no fallback the number would freeze, also at none. Source: KEDA, `pkg/fallback` and `pkg/scaling/executor`.
    """
    return {
        "failureThreshold": FAILURES_BEFORE_FALLBACK,
        "replicas": max(1, min_replicas),
        "behavior": "currentReplicasIfHigher",
    }


def _behavior(max_replicas: int) -> Json:
    """As many as are needed at once, away again one by one."""
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": max_replicas, "periodSeconds": HPA_SYNC_S}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": SCALE_DOWN_WINDOW_S,
            "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": SCALE_DOWN_PERIOD_S}],
        },
    }
