"""The arithmetic of KEDA and of the Horizontal Pod Autoscaler, from a ScaledObject alone; no I/O, time passed in.

Two controllers share the work, as on a cluster:

- KEDA's operator asks for the queue's length every `pollingInterval` and decides between none and some
  (KEDA documentation, "Scaling Deployments, StatefulSets & Custom Resources"; its order of cases is that of
  `pkg/scaling/executor/scale_scaledobjects.go`).
- The HPA that KEDA makes decides between one and many every 15 s (Kubernetes documentation, "Horizontal Pod
  Autoscaling", sections "Algorithm details", "Configurable scaling behavior"; finer points are those of
  `pkg/controller/podautoscaler/horizontal.go`). It does nothing while there are no replicas.

Not modelled: `fallback` (a queue's length is always known here) and whatever `_SPEC` does not name.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local.warm import UnknownScheduleError, WarmHours

HPA_SYNC_S = 15.0  # kube-controller-manager, --horizontal-pod-autoscaler-sync-period
HPA_TOLERANCE = 0.1  # kube-controller-manager, --horizontal-pod-autoscaler-tolerance

_SPEC = {
    "scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod", "fallback",
    "advanced", "triggers",
}  # fmt: skip
_RULES = {"stabilizationWindowSeconds", "selectPolicy", "policies"}
# autoscaling/v2, HPAScalingRules: what holds where a ScaledObject is silent.
_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN = {
    "stabilizationWindowSeconds": 300,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}


class UnknownScalingError(ValueError):
    """The ScaledObject asks for arithmetic that is not done here; the message names the field."""


@dataclass(frozen=True)
class _Policy:
    is_percent: bool
    value: int
    period_s: float


@dataclass(frozen=True)
class _Rules:
    window_s: float
    select: str
    policies: tuple[_Policy, ...]

    @classmethod
    def read(cls, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> "_Rules":
        _refuse(given, _RULES, "behavior")
        rules = {**defaults, **given}
        policies = tuple(
            _Policy(policy["type"] == "Percent", int(policy["value"]), float(policy["periodSeconds"]))
            for policy in rules["policies"]
        )
        return cls(rules["stabilizationWindowSeconds"], rules["selectPolicy"], policies)


@dataclass
class _Hpa:
    """One to many. hpa_min: KEDA gives the HPA a minimum of 1 where the ScaledObject's own is 0."""

    hpa_min: int
    hpa_max: int
    up: _Rules
    down: _Rules
    recommendations: list[tuple[float, int]] = field(default_factory=list)
    changes: list[tuple[float, int]] = field(default_factory=list)

    def sync(self, current: int, metrics: Sequence[tuple[int, float]], now_s: float) -> int:
        """Replicas now. metrics: of each trigger its total, and how much of it is one replica's share."""
        if not self.recommendations:
            self.recommendations.append((now_s, current))
        if current == 0:
            return 0
        if current < self.hpa_min or current > self.hpa_max:
            desired = min(max(current, self.hpa_min), self.hpa_max)
        else:
            proposed = max(self._proposed(current, total, target) for total, target in metrics)
            stable = self._stabilized(current, proposed, now_s)
            desired = self._limited(current, stable, now_s)
        if desired != current:
            longest_s = max(policy.period_s for policy in (*self.up.policies, *self.down.policies))
            self.changes = [change for change in self.changes if change[0] > now_s - longest_s]
            self.changes.append((now_s, desired - current))
        return desired

    @staticmethod
    def _proposed(current: int, total: int, target: float) -> int:
        """Within the tolerance of a tenth the number stays; otherwise everyone gets `target` of the total."""
        if abs(1.0 - total / (target * current)) <= HPA_TOLERANCE:
            return current
        return math.ceil(total / target)

    def _stabilized(self, current: int, proposed: int, now_s: float) -> int:
        """Up only as far as the lowest, down only as far as the highest recommendation of the window."""
        lowest = min([proposed, *self._since(self.recommendations, now_s - self.up.window_s)])
        highest = max([proposed, *self._since(self.recommendations, now_s - self.down.window_s)])
        oldest_s = now_s - max(self.up.window_s, self.down.window_s)
        self.recommendations = [item for item in self.recommendations if item[0] > oldest_s]
        self.recommendations.append((now_s, proposed))
        return min(max(current, lowest), highest)

    def _limited(self, current: int, desired: int, now_s: float) -> int:
        if desired > current:
            return min(desired, self.hpa_max, max(current, self._limit(self.up, current, now_s, 1)))
        if desired < current:
            return max(desired, self.hpa_min, min(current, self._limit(self.down, current, now_s, -1)))
        return desired

    def _limit(self, rules: _Rules, current: int, now_s: float, sign: int) -> int:
        """Replicas to which the policies let the number go; sign: 1 for up, -1 for down."""
        if rules.select == "Disabled":
            return current
        limits = []
        for policy in rules.policies:
            start = current - sum(self._since(self.changes, now_s - policy.period_s))
            step = sign * policy.value
            # Percent rounds up on the way up, so that one replica can grow, and down on the way down.
            percent = start * (1 + step / 100)
            limits.append((math.ceil(percent) if sign > 0 else int(percent)) if policy.is_percent else start + step)
        furthest = max if (rules.select == "Max") == (sign > 0) else min
        return furthest(limits)

    @staticmethod
    def _since(events: list[tuple[float, int]], after_s: float) -> list[int]:
        return [value for at_s, value in events if at_s > after_s]


class Autoscaler:
    """Replicas of one ScaledObject's target, beginning with none.

    clock: seconds, from any origin. origin: the time of day when the clock shows none, for business hours.
    Raises: UnknownScalingError, for a ScaledObject that asks for more than is here.
    """

    def __init__(
        self,
        scaled_object: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
        origin: datetime | None = None,
    ) -> None:
        spec = scaled_object["spec"]
        _refuse(spec, _SPEC, "spec")
        trigger, self._warm = _triggers(spec["triggers"])
        behavior = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
        # Defaults of KEDA ("ScaledObject specification", "AWS SQS Queue").
        self.min_replicas = int(spec.get("minReplicaCount", 0))
        self.max_replicas = int(spec.get("maxReplicaCount", 100))
        self.polling_interval_s = float(spec.get("pollingInterval", 30))
        self.cooldown_s = float(spec.get("cooldownPeriod", 300))
        self.replicas = 0
        self._clock = clock
        self._origin = origin or datetime.now(UTC) - timedelta(seconds=clock())
        self._activation = int(trigger.get("activationQueueLength", 0))
        self._counts_in_flight = trigger.get("scaleOnInFlight", "true") == "true"
        self._share = float(trigger.get("queueLength", 5))
        self._last_active_s: float | None = None
        self._poll_due_s = self._sync_due_s = -math.inf
        self._hpa = _Hpa(
            hpa_min=max(1, self.min_replicas),
            hpa_max=self.max_replicas,
            up=_Rules.read(behavior.get("scaleUp", {}), _UP),
            down=_Rules.read(behavior.get("scaleDown", {}), _DOWN),
        )

    def observe(self, visible: int, in_flight: int, now_s: float | None = None) -> int:
        """Replicas wanted, given the queue's counts of messages at `now_s` (default: the clock's now).

        Call it as often as you like, at least every second or so: each controller looks only when its time has come.
        """
        now = self._clock() if now_s is None else now_s
        total = visible + in_flight if self._counts_in_flight else visible
        if now >= self._poll_due_s:
            self._poll_due_s = now + self.polling_interval_s
            self.replicas = self._polled(total, now)
        if now >= self._sync_due_s:
            self._sync_due_s = now + HPA_SYNC_S
            self.replicas = self._hpa.sync(self.replicas, self._metrics(total, now), now)
        return self.replicas

    def _metrics(self, total: int, now_s: float) -> list[tuple[int, float]]:
        warm = [(self._warm.wanted(self._time_at(now_s)), 1.0)] if self._warm else []
        return [(total, self._share), *warm]

    def _time_at(self, now_s: float) -> datetime:
        return self._origin + timedelta(seconds=now_s)

    def _polled(self, total: int, now_s: float) -> int:
        """KEDA's part: between none and some; one trigger that is active is enough."""
        is_warm = self._warm is not None and self._warm.is_on(self._time_at(now_s))
        if is_warm or total > self._activation:
            self._last_active_s = now_s
            return self.replicas or max(1, self.min_replicas)
        if self.min_replicas == 0:
            is_over = self._last_active_s is None or self._last_active_s + self.cooldown_s < now_s
            return 0 if is_over else self.replicas
        return max(self.replicas, self.min_replicas)


def _triggers(given: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], WarmHours | None]:
    """Metadata of the queue's trigger, and business hours where there are any. Raises: UnknownScalingError."""
    kinds = [trigger["type"] for trigger in given]
    if kinds not in (["aws-sqs-queue"], ["aws-sqs-queue", "cron"]):
        raise UnknownScalingError("spec.triggers: only one `aws-sqs-queue`, and one `cron` after it, are known here.")
    try:
        warm = WarmHours.read(given[1]["metadata"]) if len(given) > 1 else None
    except UnknownScheduleError as error:
        raise UnknownScalingError(f"spec.triggers: {error}") from error
    return given[0]["metadata"], warm


def _refuse(given: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise UnknownScalingError(f"{where}.{name}: this arithmetic is not done here.")
