"""Numbers for Prometheus. They are counted whatever is served, since counting takes microseconds."""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.ports import GpuMemory
from agent.telemetry.busy import Busy
from agent.telemetry.closing import Closing

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PHASES = ("wait", "receive", "claim", "fetch", "execution", "store", "settle", "total")
STATES = ("starting", "runtime_loading", "runtime_gone", "runtime_stuck", "ready", "draining")
# Each is about three times the one before, so that a quantile read from them is off by less than that. From a call of
# AWS (10 ms) to what SQS allows a job (12 h); 60, 120, 300 and 600 s are what people promise each other.
BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600, 10800, 43200)

# a third of the lines, and only OpenMetrics has a use for them
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library gives it no types


class Metrics:
    """All of an agent's own, each once."""

    def __init__(self, busy: Busy | None = None) -> None:
        self.registry = CollectorRegistry()
        self.busy = busy or Busy(time.monotonic)
        self._declare()
        self.registry.register(_OfBusy(self.busy))
        self.registry.register(ProcessCollector(registry=None))

    def _declare(self) -> None:
        counter = partial(Counter, namespace="sd_agent", registry=self.registry)
        gauge = partial(Gauge, namespace="sd_agent", registry=self.registry)
        histogram = partial(Histogram, namespace="sd_agent", registry=self.registry, buckets=BUCKETS_S)
        summary = partial(Summary, namespace="sd_agent", registry=self.registry)
        self._jobs = counter("jobs", "Closed attempts at jobs, by how they ended", ["outcome", "error"])
        self._phases = histogram("phase_seconds", "Time of a closed attempt's phases", ["phase"])
        self._outputs = counter("outputs", "Files stored")
        self._output_bytes = counter("output_bytes", "Bytes of the files stored")
        self._queue_age = histogram("queue_age_seconds", "Age of messages at receipt")
        calls = ["service", "operation"]
        self._calls = counter("aws_calls", "Calls of AWS with their retries, by AWS's answer", [*calls, "code"])
        self._call_time = summary("aws_call_seconds", "Time of the calls of AWS", calls)
        self._heartbeat_failures = counter("heartbeat_failures", "Heartbeats that did not reach AWS")
        self._leases_lost = counter("leases_lost", "Attempts dropped because the job was another agent's")
        self._out_of_memory = counter("runtime_out_of_memory", "Times the runtime ran out of GPU memory")
        self._exports = counter("trace_exports", "Batches of spans sent to the collector", ["result"])
        self._state = gauge("state", "1 for the state that /readyz tells", ["state"])
        self._build = gauge("build_info", "Always 1", ["version", "runtime", "runtime_type"])
        self._gpu_total = gauge("gpu_memory_total_bytes", "GPU memory, where the runtime tells it", ["device"])
        self._gpu_used = gauge("gpu_memory_used_bytes", "GPU memory in use, where the runtime tells it", ["device"])

    def about(self, *, version: str, runtime: str, runtime_type: str) -> None:
        self._build.labels(version, runtime, runtime_type).set(1)

    def closed(self, closing: Closing) -> Mapping[str, object]:
        """A Listener."""
        line = closing.line
        self._jobs.labels(line.outcome, closing.error_code).inc()
        for phase, seconds in closing.seconds.items():
            if phase in PHASES:
                self._phases.labels(phase).observe(seconds)
        self._outputs.inc(line.images)
        self._output_bytes.inc(line.bytes_out)
        if closing.error_code == "lease_lost":
            self._leases_lost.inc()
        return {}

    def received(self, age_s: float) -> None:
        """A message, and how long ago it was sent; another machine's clock may make that less than nothing."""
        self._queue_age.observe(max(age_s, 0))

    def called(self, service: str, operation: str, code: str, seconds: float) -> None:
        """code: AWS's own of an error, empty when there was none."""
        self._calls.labels(service, operation, code).inc()
        self._call_time.labels(service, operation).observe(seconds)

    def heartbeat_failed(self) -> None:
        self._heartbeat_failures.inc()

    def ran_out_of_memory(self) -> None:
        self._out_of_memory.inc()

    def exported(self, result: str) -> None:
        """result: taken or lost."""
        self._exports.labels(result).inc()

    def page(self, state: str | None, memory: Sequence[GpuMemory]) -> bytes:
        """What a scrape gets. state: None when it is not known in time; memory likewise is absent then, not stale."""
        for each in STATES:
            self._state.labels(each).set(each == state)
        for gauge in (self._gpu_total, self._gpu_used):
            gauge.clear()
        for device in memory:
            self._gpu_total.labels(device.name).set(device.total_bytes)
            self._gpu_used.labels(device.name).set(device.used_bytes)
        return generate_latest(self.registry)


class _OfBusy(Collector):
    """Read at the scrape, so that a job of an hour shows while it runs."""

    def __init__(self, busy: Busy) -> None:
        self._busy = busy

    def collect(self) -> Iterable[Metric]:
        busy = self._busy
        yield CounterMetricFamily("sd_agent_runtime_busy_seconds", "Time in which a job ran", value=busy.total_s)
        text = f"Part of the last {busy.window_s:.0f} s in which a job ran"
        yield GaugeMetricFamily("sd_agent_runtime_busy_ratio", text, value=busy.ratio)
        yield GaugeMetricFamily("sd_agent_running_jobs", "Jobs that the runtime holds", value=busy.held)


METRICS = Metrics()
