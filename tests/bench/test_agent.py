"""The agent's bench: its arithmetic, its picture, and that a run of it measures a real agent."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.agent import MODES, RESULTS, idle_sigterm_s, row
from bench.agent_run import Measured, Mode, bare_cpu_ms, percentile
from bench.agent_timeline import picture, rows
from local.emulator import Emulator

KEYS = {
    "busy_pct",
    "gap_p50_ms",
    "gap_p95_ms",
    "jobs_per_hour",
    "rss_mb",
    "cpu_ms_per_job",
    "first_receive_s",
    "ratio_without_overlap",
}
CALLS = [
    ("ReceiveMessage", 10.5, 10.52, ["a", "b"]),
    ("UpdateItem", 10.6, 10.62, ["a"]),
    ("UpdateItem", 10.8, 10.82, ["b"]),
    ("UpdateItem", 11.1, 11.12, ["a"]),
    ("UpdateItem", 11.5, 11.52, ["b"]),
]


def run_of(*spans: tuple[str, float, float], cpu_s: float = 0.1, left_s: float = 0.1) -> Measured:
    return Measured(spans=spans, calls=CALLS, started_s=10.0, cpu_s=cpu_s, rss_mb=60.04, idle_sigterm_s=left_s)


def test_a_row_has_the_agreed_keys_and_counts_idle_time_between_jobs_only() -> None:
    mode = Mode(name="x", run_s=0.3, jobs=2, jobs_without=2)
    found = row(mode, run_of(("a", 10.7, 11.0), ("b", 11.1, 11.4)), run_of(("a", 10.7, 11.0), ("b", 11.8, 12.1)))
    assert set(found) == KEYS
    assert found == {
        "busy_pct": 85.71,
        "gap_p50_ms": 100.0,
        "gap_p95_ms": 100.0,
        "jobs_per_hour": 10285.7,
        "rss_mb": 60.0,
        "cpu_ms_per_job": 50.0,
        "first_receive_s": 0.5,
        "ratio_without_overlap": 2.0,
    }


def test_of_all_runs_the_one_that_left_last_counts() -> None:
    assert idle_sigterm_s([run_of(left_s=seconds) for seconds in (0.1, 0.34567, 0.2)]) == 0.346


def test_percentiles_are_those_of_the_values() -> None:
    values = [float(number) for number in range(101)]
    assert (percentile(values, 0.5), percentile(values, 0.95)) == (50, 95)
    assert (percentile([7.0], 0.95), percentile([], 0.5)) == (7, 0)


def test_the_modes_are_the_agreed_ones() -> None:
    assert [mode.name for mode in MODES] == ["300ms", "20ms", "60s", "16_images", "50MB_video", "a1111_300ms"]


def test_the_picture_shows_each_job_from_receipt_to_record() -> None:
    run = run_of(("a", 10.7, 11.0), ("b", 11.0, 11.3))
    assert [each.moments for each in rows(run)] == [(10.52, 10.6, 10.7, 11.0, 11.12), (10.52, 10.8, 11.0, 11.3, 11.52)]
    drawn = ET.fromstring(picture(run, skipped=0))
    titles = [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert titles.count("running: 300 ms") == 2


def test_the_bare_calls_are_made_for_every_job(emulator: Emulator) -> None:
    s3 = emulator.client("s3")

    def buckets() -> set[str]:
        return {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}

    before = buckets()
    assert bare_cpu_ms(emulator, MODES[0], 3) > 0
    [made] = buckets() - before
    keys = [entry["Key"].rpartition("/")[2] for entry in s3.list_objects_v2(Bucket=made)["Contents"]]
    assert sorted(keys) == ["a.png"] * 3 + ["result.json"] * 3


@pytest.mark.skipif(not (RESULTS / "agent.json").exists(), reason="`make bench-agent` writes it")
def test_what_is_kept_of_the_last_run_is_whole() -> None:
    kept = json.loads(Path(RESULTS / "agent.json").read_text(encoding="utf-8"))
    assert [name for name in kept if name not in {"about", "idle_sigterm_s"}] == [mode.name for mode in MODES]
    assert all(set(kept[mode.name]) == KEYS for mode in MODES)
