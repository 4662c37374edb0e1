"""Phases in words, on a terminal and in a log."""

from io import StringIO

import msgspec
import pytest
from rich.console import Console

from sd_async.contract.jobs import Job, JobError, Progress
from sd_async.contract.states import Status
from sd_async.progress import ProgressLine, phase_of
from tests.client.fakes import FakeTime, failed, job, running, succeeded


def shown(*jobs: Job, is_terminal: bool = False, time: FakeTime | None = None) -> str:
    time = time or FakeTime()
    text = StringIO()
    console = Console(file=text, force_terminal=is_terminal, width=80, color_system=None)
    with ProgressLine(console, clock=time.clock) as line:
        for each in jobs:
            line.show(each)
            time.now_s += 2.0
    return text.getvalue()


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (job(), "queued"),
        (job(progress=Progress(message="agent starting")), "queued · agent starting"),
        (running(0.404), "running 40% · KSampler"),
        (running(7.0), "running 100% · KSampler"),
        (running(0.0, message="fetching inputs"), "fetching inputs"),
        (running(0.01, message="loading model"), "loading model"),
        (running(1.0, message="uploading"), "uploading"),
        (job(Status.CANCELING), "canceling"),
        (succeeded(), "done"),
        (failed(), "failed · node_execution_error: Out of memory. (node 3, KSampler)"),
        (job(Status.FAILED), "failed"),
        (job(Status.CANCELED), "canceled"),
    ],
)
def test_a_phase_says_what_the_job_is_doing(known: Job, words: str) -> None:
    assert str(phase_of(known)) == words


def refused(node_errors: dict[str, object]) -> Job:
    error = JobError(
        code="invalid_workflow", message="Failed.", node_id="3", class_type="KSampler", node_errors=node_errors
    )
    return job(Status.FAILED, error=error)


def test_a_refused_workflow_names_the_input_at_fault() -> None:
    fault = {"message": "The value is not one of the choices", "details": "sampler_name: 'x' not in (list)"}
    known = refused({"3": {"errors": [fault]}, "9": {"errors": []}})
    assert str(phase_of(known)) == (
        "failed · invalid_workflow: Failed. (node 3, KSampler): sampler_name: 'x' not in (list)"
    )


@pytest.mark.parametrize("node_errors", [{}, {"3": None}, {"3": {"errors": "x"}}, {"3": {"errors": []}}, {"4": {}}])
def test_node_errors_of_any_other_shape_are_left_out(node_errors: dict[str, object]) -> None:
    assert str(phase_of(refused(node_errors))) == "failed · invalid_workflow: Failed. (node 3, KSampler)"


def test_a_log_has_one_line_per_phase_and_quarter() -> None:
    steps = [running(value / 20) for value in range(21)]
    lines = shown(job(), job(), *steps, running(1.0, message="uploading"), succeeded()).splitlines()
    assert lines == [
        "· queued",
        "· running 0% · KSampler",
        "· running 25% · KSampler",
        "· running 50% · KSampler",
        "· running 75% · KSampler",
        "· running 100% · KSampler",
        "· uploading",
        "✓ done in 4.3 s",
    ]


def test_a_log_holds_no_escape_sequence() -> None:
    assert "\x1b" not in shown(job(), running(0.5), succeeded())


def test_a_terminal_keeps_a_line_with_its_time_for_each_phase_that_ended() -> None:
    text = shown(job(), running(0.4), running(0.6), succeeded(), is_terminal=True)
    assert "✓ queued 2.0 s" in text
    assert "✓ running 4.0 s" in text
    assert "✓ done in 4.3 s" in text
    assert "40%" in text, "the moving line shows how far it is"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_an_api_sends_cannot_steer_the_terminal(*, is_terminal: bool) -> None:
    hostile = "\x1b]0;owned\x07[red]\x9b2J\nnext"
    error = JobError(code="c", message=hostile)
    jobs = [running(0.5, node=hostile), running(0.5, message=f"fetching {hostile}"), job(Status.FAILED, error=error)]
    text = shown(*jobs, is_terminal=is_terminal)
    assert "\x1b]0" not in text
    assert "\x07" not in text
    assert "\x9b" not in text
    assert "[red]" in text, "brackets are text, not style"


def test_a_long_reason_is_not_cut_or_folded_in_a_log() -> None:
    error = JobError(code="c", message="word " * 100)
    assert len(shown(job(Status.FAILED, error=error)).splitlines()) == 1


def test_a_job_that_goes_back_to_its_queue_is_shown_as_such() -> None:
    again = msgspec.structs.replace(job(), attempts=1, progress=Progress(message="the agent was stopped"))
    assert shown(running(0.5), again, running(0.0)).splitlines() == [
        "· running 50% · KSampler",
        "· queued · the agent was stopped",
        "· running 0% · KSampler",
    ]


def test_other_steps_can_be_said_between_the_jobs_own() -> None:
    text = StringIO()
    with ProgressLine(Console(file=text, width=80)) as line:
        line.say("accepted", "as 1234")
        line.show(job())
        line.say("agent starting")
    assert text.getvalue().splitlines() == ["· accepted · as 1234", "· queued", "· agent starting"]
