"""What a scrape reads, as Prometheus's own parser reads it."""

import asyncio
import itertools
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.errors import OutOfMemoryError, RuntimeLostError
from agent.ports import Artifact, GpuMemory, Report, Work
from agent.telemetry.busy import Busy, WatchedBackend
from agent.telemetry.metrics import BUCKETS_S, PHASES, Metrics
from agent.telemetry.scrape import page_of
from tests.agent.closings import closing, series, value
from tests.agent.scenario import in_loop
from tests.support.clock import FakeClock
from tests.support.fakes import FakeBackend

OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
WORK = Work(run_id="1", label="job-1", input={}, files={})


async def ready() -> str:
    return "ready"


def used() -> Metrics:
    """One of each thing that can be told."""
    metrics = Metrics()
    metrics.about(version="1", runtime="comfy", runtime_type="comfyui")
    metrics.closed(closing())
    metrics.received(1.0)
    metrics.called("sqs", "ReceiveMessage", "", 0.1)
    metrics.heartbeat_failed()
    metrics.ran_out_of_memory()
    metrics.exported("taken")
    return metrics


def test_attempts_are_counted_by_how_they_ended() -> None:
    metrics = Metrics()
    metrics.closed(closing())
    metrics.closed(closing())
    metrics.closed(closing(outcome="released", error="aws_unavailable: Throttled."))
    assert value(metrics, "sd_agent_jobs_total", {"outcome": "succeeded", "error": ""}) == 2
    assert value(metrics, "sd_agent_jobs_total", {"outcome": "released", "error": "aws_unavailable"}) == 1
    assert (value(metrics, "sd_agent_outputs_total"), value(metrics, "sd_agent_output_bytes_total")) == (6, 9_000_000)


def test_every_phase_has_its_histogram() -> None:
    metrics = Metrics()
    metrics.closed(closing())
    found = {phase: value(metrics, "sd_agent_phase_seconds_sum", {"phase": phase}) for phase in PHASES}
    assert found == {
        "wait": 2.5,
        "receive": None,
        "claim": 0.02,
        "fetch": 0.5,
        "execution": 10.0,
        "store": 0.2,
        "settle": 0.04,
        "total": 10.76,
    }
    assert value(metrics, "sd_agent_phase_seconds_bucket", {"phase": "execution", "le": "10.0"}) == 1
    assert value(metrics, "sd_agent_phase_seconds_bucket", {"phase": "execution", "le": "3.0"}) == 0


def test_a_mark_that_nobody_agreed_on_makes_no_series() -> None:
    metrics = Metrics()
    metrics.closed(closing(marks={"client's own": (1, 2)}))
    assert value(metrics, "sd_agent_phase_seconds_sum", {"phase": "client's own"}) is None


def test_buckets_reach_from_a_call_of_aws_to_what_sqs_allows_a_job() -> None:
    assert BUCKETS_S[0] == 0.01
    assert BUCKETS_S[-1] == 12 * 3600
    assert all(wide / narrow < 4.1 for narrow, wide in itertools.pairwise(BUCKETS_S))


def test_a_lost_lease_is_counted_by_itself() -> None:
    metrics = Metrics()
    metrics.closed(closing(outcome="dropped", error="lease_lost: The lease could not be renewed in time."))
    assert value(metrics, "sd_agent_leases_lost_total") == 1


def test_a_clock_that_is_behind_makes_no_negative_age() -> None:
    metrics = Metrics()
    metrics.received(-3)
    metrics.received(4)
    assert value(metrics, "sd_agent_queue_age_seconds_sum") == 4
    assert value(metrics, "sd_agent_queue_age_seconds_count") == 2


def test_the_state_is_one_of_all() -> None:
    page = Metrics().page("runtime_gone", ())
    states = {dict(labels)["state"]: found for (name, labels), found in series(page).items() if name.endswith("_state")}
    assert states.pop("runtime_gone") == 1
    assert set(states.values()) == {0}


def test_what_the_process_itself_takes_is_told() -> None:
    found = {name for name, _ in series(Metrics().page("ready", ()))}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total"} <= found or not Path("/proc").exists()


def test_every_name_is_ours_or_the_process_and_is_explained() -> None:
    for family in text_string_to_metric_families(used().page("ready", ()).decode()):
        assert family.name.startswith(("sd_agent_", "process_"))
        assert family.documentation


def test_the_table_for_operators_is_what_a_scrape_gives() -> None:
    table = OPERATIONS.split("## What to watch\n")[1].split("\n## ")[0]
    told = set(re.findall(r"^\| `(sd_agent_\w+)`", table, re.MULTILINE))
    page = used().page("ready", (GpuMemory("cuda:0", 2, 1),))
    given = set(re.findall(r"^# TYPE (sd_agent_\w+) ", page.decode(), re.MULTILINE))
    assert told == given


# what the runtime does


def test_busy_time_grows_while_a_work_runs_and_ends_with_it() -> None:
    now_s = [100.0]
    busy = Busy(lambda: now_s[0], window_s=60)
    now_s[0] = 110
    busy.began()
    now_s[0] = 125
    assert (busy.total_s, busy.ratio) == (15, 15 / 25), "an hour's job must not show at its end only"
    busy.ended()
    now_s[0] = 160
    assert (busy.total_s, busy.ratio) == (15, 15 / 60)
    now_s[0] = 180
    assert busy.ratio == 5 / 60, "what lies before the window counts for nothing"
    now_s[0] = 190
    assert (busy.total_s, busy.ratio) == (15, 0)


def test_works_that_overlap_make_a_runtime_busy_once() -> None:
    now_s = [0.0]
    busy = Busy(lambda: now_s[0])
    busy.began()
    now_s[0] = 5
    busy.began()
    now_s[0] = 8
    busy.ended()
    now_s[0] = 10
    busy.ended()
    assert busy.total_s == 10


@in_loop
async def test_a_runtime_is_busy_from_its_first_report_to_the_works_end() -> None:
    clock = FakeClock()
    busy = Busy(clock.monotonic_s)
    backend = WatchedBackend(FakeBackend(clock, run_s=10), busy, lambda: None)
    running = asyncio.create_task(backend.run(WORK, lambda progress: None))
    await clock.advance(4)
    assert (busy.held, busy.total_s) == (1, 4)
    await clock.advance(20)
    await running
    assert (busy.held, busy.total_s) == (0, 10)


@in_loop
async def test_a_work_that_waits_in_the_runtimes_queue_makes_it_no_busier() -> None:
    class Waiting(FakeBackend):
        async def run(self, work: Work, report: Report) -> Sequence[Artifact]:
            await self.clock.sleep(10)
            raise RuntimeLostError("gone")

    clock = FakeClock()
    busy = Busy(clock.monotonic_s)
    running = asyncio.create_task(WatchedBackend(Waiting(clock), busy, lambda: None).run(WORK, lambda progress: None))
    await clock.advance(5)
    assert (busy.held, busy.total_s) == (1, 0)
    await clock.advance(10)
    with pytest.raises(RuntimeLostError):
        await running
    assert (busy.held, busy.total_s) == (0, 0)


@in_loop
async def test_running_out_of_gpu_memory_is_counted_each_time() -> None:
    clock, metrics = FakeClock(), Metrics()
    fake = FakeBackend(clock, run_s=1)
    fake.faults.add("run", OutOfMemoryError("CUDA out of memory"))
    running = asyncio.create_task(
        WatchedBackend(fake, metrics.busy, metrics.ran_out_of_memory).run(WORK, lambda progress: None)
    )
    await clock.advance(2)
    with pytest.raises(OutOfMemoryError):
        await running
    assert value(metrics, "sd_agent_runtime_out_of_memory_total") == 1


# what a scrape asks of others


@in_loop
async def test_gpu_memory_is_told_by_device_and_gone_when_it_is_not_known() -> None:
    metrics = Metrics()

    async def memory() -> list[GpuMemory]:
        return [GpuMemory("cuda:0", 24_000, 9_000)]

    page, kind = await page_of(metrics, ready, memory)()
    assert value(page, "sd_agent_gpu_memory_total_bytes", {"device": "cuda:0"}) == 24_000
    assert value(page, "sd_agent_gpu_memory_used_bytes", {"device": "cuda:0"}) == 9_000
    assert kind.startswith("text/plain; version=0.0.4")
    page, _ = await page_of(metrics, ready, None)()
    assert value(page, "sd_agent_gpu_memory_used_bytes", {"device": "cuda:0"}) is None, "absent beats stale"


@pytest.mark.parametrize("fault", ["hangs", "fails"])
@in_loop
async def test_a_runtime_that_hangs_or_fails_costs_no_scrape(fault: str) -> None:
    async def memory() -> list[GpuMemory]:
        if fault == "hangs":
            await asyncio.Event().wait()
        raise RuntimeLostError("The runtime does not answer.")

    began_s = time.monotonic()
    page, _ = await page_of(Metrics(), ready, memory, timeout_s=0.05)()
    assert time.monotonic() - began_s < 2
    assert value(page, "sd_agent_state", {"state": "ready"}) == 1
    assert value(page, "sd_agent_runtime_busy_ratio") == 0


def test_a_scrape_and_a_closing_take_next_to_nothing_of_a_jobs_cpu() -> None:
    metrics = used()
    began_s = time.process_time()
    for _ in range(100):
        metrics.closed(closing())
    closing_ms = (time.process_time() - began_s) * 10
    began_s = time.process_time()
    for _ in range(20):
        metrics.page("ready", ())
    page_ms = (time.process_time() - began_s) * 50
    # measured: 0.02 and 1.0 ms; of the 25 ms that a job may take in all, and a scrape comes every 30 s
    assert closing_ms < 2
    assert page_ms < 30
