"""The command: what it prints where, and how it ends."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sd_async.command import EXIT_CODES
from sd_async.contract.errors import ContractError
from sd_async.contract.states import Status
from sd_async.errors import SdAsyncError
from tests.client.command import WORKFLOW, Command
from tests.client.fakes import (
    JOB_ID,
    KEY,
    answer,
    failed,
    job,
    output,
    refused,
    running,
    succeeded,
)

PNG = httpx.Response(200, content=b"PNG!")


def leaves(of: type[Exception]) -> list[type[Exception]]:
    children = of.__subclasses__()
    return [leaf for child in children for leaf in leaves(child)] or [of]


def test_a_submitted_job_prints_its_id_alone_so_that_a_shell_can_keep_it(sd_async: Command) -> None:
    result = sd_async("submit", "workflow.json", "--runtime", "comfyui", answers=(answer(job(), 202),))
    assert (result.exit_code, result.stdout) == (0, f"{JOB_ID}\n")
    assert f"sd-async wait {JOB_ID}" in result.stderr


def test_every_flag_of_submit_reaches_the_body(sd_async: Command) -> None:
    flags = "--runtime r --type workflow --file a=https://h/a --file b=s3://b/k --prefix p --timeout 60"
    sd_async("submit", "workflow.json", *flags.split(), "--idempotency-key", "k-1", answers=(answer(job(), 202),))
    (request,) = sd_async.api.requests
    body = json.loads(request.content)
    assert request.headers["idempotency-key"] == "k-1"
    assert body["files"] == {"a": "https://h/a", "b": "s3://b/k"}
    assert (body["runtime"], body["type"], body["output_prefix"], body["timeout_seconds"]) == ("r", "workflow", "p", 60)


def test_the_flags_about_images_reach_the_body_as_one_object(sd_async: Command) -> None:
    flags = "--runtime r --format webp --quality 80 --metadata strip"
    sd_async("submit", "workflow.json", *flags.split(), answers=(answer(job(), 202),))
    (request,) = sd_async.api.requests
    assert json.loads(request.content)["output"] == {"format": "webp", "quality": 80, "metadata": "strip"}


@pytest.mark.parametrize("flags", ["--format gif", "--format webp --quality 0", "--metadata drop"])
def test_a_flag_about_images_that_is_not_offered_is_refused_before_anything_is_sent(
    sd_async: Command, flags: str
) -> None:
    result = sd_async("submit", "workflow.json", "--runtime", "r", *flags.split())
    assert result.exit_code == 2
    assert sd_async.api.requests == []


def test_a_workflow_from_stdin_runs_where_the_configuration_says(sd_async: Command, tmp_path: Path) -> None:
    (tmp_path / ".sd-async.toml").write_text('runtime = "from-file"\n')
    result = sd_async("submit", "-", stdin=WORKFLOW, answers=(answer(job(), 202),))
    assert result.exit_code == 0
    assert json.loads(sd_async.api.requests[0].content)["runtime"] == "from-file"


def test_a_watched_job_shows_its_phases_on_stderr_and_its_outputs_on_stdout(sd_async: Command) -> None:
    ways = (answer(job(), 202), answer(job()), answer(running(0.4)), answer(succeeded([output("a.png")])))
    result = sd_async("submit", "workflow.json", "--runtime", "r", "--watch", answers=ways)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        f"Job {JOB_ID}",
        "· queued",
        "· running 40% · KSampler",
        "✓ done in 4.3 s",
    ]
    assert result.stdout == f"s3://outputs/{JOB_ID}/1/9/a.png\n"


def test_an_output_folder_means_watching_and_saving(sd_async: Command, tmp_path: Path) -> None:
    ways = (answer(job(), 202), answer(succeeded([output("a.png")])), PNG)
    result = sd_async("submit", "workflow.json", "--runtime", "r", "-o", "out", answers=ways)
    assert (result.exit_code, result.stdout) == (0, "out/a.png\n")
    assert (tmp_path / "out" / "a.png").read_bytes() == b"PNG!"


def test_a_failed_job_ends_with_1_and_its_reason(sd_async: Command) -> None:
    result = sd_async("wait", JOB_ID, answers=(answer(running(0.1)), answer(failed())))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "✗ failed · node_execution_error: Out of memory. (node 3, KSampler)" in result.stderr


def test_a_canceled_job_ends_with_1(sd_async: Command) -> None:
    assert sd_async("wait", JOB_ID, answers=(answer(job(Status.CANCELED)),)).exit_code == 1


def test_a_job_is_shown_in_the_state_that_the_api_names(sd_async: Command) -> None:
    result = sd_async("get", JOB_ID, answers=(answer(succeeded()),))
    assert "status    succeeded\n" in result.stdout


def test_a_failed_job_can_be_read_without_failing(sd_async: Command) -> None:
    result = sd_async("get", JOB_ID, answers=(answer(failed()),))
    assert result.exit_code == 0
    assert "status    failed · node_execution_error: Out of memory. (node 3, KSampler)\n" in result.stdout


def test_a_job_that_has_not_ended_has_nothing_to_download_yet(sd_async: Command) -> None:
    result = sd_async("download", JOB_ID, "-o", "out", answers=(answer(running(0.4)),))
    assert result.exit_code == 2
    assert f"sd-async wait {JOB_ID} -o out" in result.stderr


def test_a_finished_job_is_downloaded_into_the_working_folder(sd_async: Command, tmp_path: Path) -> None:
    result = sd_async("download", JOB_ID, answers=(answer(succeeded([output("a.png")])), PNG))
    assert (result.exit_code, result.stdout) == (0, "a.png\n")
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("args", "answers"),
    [
        (("submit", "workflow.json", "--runtime", "r"), (answer(job(), 202),)),
        (("submit", "workflow.json", "--runtime", "r", "--watch"), (answer(job(), 202), answer(succeeded()))),
        (("submit", "workflow.json", "--runtime", "r", "-o", "o"), (answer(job(), 202), answer(succeeded()))),
        (("get", JOB_ID), (answer(job()),)),
        (("wait", JOB_ID), (answer(running(0.5)), answer(succeeded()))),
        (("download", JOB_ID), (answer(succeeded()),)),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_json_is_one_document_on_stdout_and_nothing_beside_it(
    sd_async: Command, args: tuple[str, ...], answers: tuple[httpx.Response, ...], *, before: bool
) -> None:
    result = sd_async(*(("--json", *args) if before else (*args, "--json")), answers=answers)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["id"] == JOB_ID
    assert result.stderr == ""


def test_saved_files_stand_beside_the_job_in_json(sd_async: Command) -> None:
    answers = (answer(succeeded([output("a.png")])), PNG)
    result = sd_async("download", JOB_ID, "-o", "out", "--json", answers=answers)
    assert json.loads(result.stdout)["files"] == ["out/a.png"]


@pytest.mark.parametrize(
    ("answers", "args", "exit_code", "code"),
    [
        ((refused(404, "not_found"),), (), 3, "not_found"),
        ((httpx.ConnectError("refused"),), (), 4, "unreachable"),
        ((answer(job()),), ("--wait-timeout", "3"), 5, "wait_timeout"),
        ((answer(job()),), ("--wait-timeout", "x"), 2, "usage"),
        ((answer(succeeded([output("a.png")])), PNG), ("-o", "workflow.json"), 2, "not_saved"),
    ],
)
def test_each_failure_has_its_exit_code_and_one_sentence_or_one_object(
    sd_async: Command, answers: tuple[Any, ...], args: tuple[str, ...], exit_code: int, code: str
) -> None:
    plain = sd_async("wait", JOB_ID, *args, answers=answers)
    assert plain.exit_code == exit_code
    assert plain.stderr.splitlines()[-1].startswith("sd-async: ")
    as_json = sd_async("wait", JOB_ID, *args, "--json", answers=answers)
    assert as_json.exit_code == exit_code
    assert json.loads(as_json.stderr)["error"]["code"] == code


def test_every_kind_of_error_has_an_exit_code() -> None:
    assert {*leaves(SdAsyncError), ContractError} == set(EXIT_CODES)


def test_a_refusal_shows_field_sentence_and_request_id(sd_async: Command) -> None:
    no = refused(422, "file_scheme", "`ftp` is none of https, s3.", field="files.a")
    plain = sd_async("submit", "workflow.json", "--runtime", "r", answers=(no,))
    assert plain.stderr == "sd-async: files.a: `ftp` is none of https, s3. (request req-1)\n"
    as_json = sd_async("submit", "workflow.json", "--runtime", "r", "--json", answers=(no,))
    assert json.loads(as_json.stderr)["error"] == {
        "code": "file_scheme",
        "message": "`ftp` is none of https, s3.",
        "field": "files.a",
        "status": 422,
        "request_id": "req-1",
    }


def test_a_wait_that_breaks_leaves_the_id_to_go_on_with(sd_async: Command) -> None:
    args = ("submit", "workflow.json", "--runtime", "r", "--watch", "--wait-timeout", "1")
    answers = (answer(job(), 202), answer(running(0.2)))
    plain = sd_async(*args, answers=answers)
    assert plain.exit_code == 5
    assert f"sd-async wait {JOB_ID}" in plain.stderr
    as_json = sd_async(*args, "--json", answers=answers)
    assert json.loads(as_json.stdout)["status"] == "running", "as it was last seen"


def interrupted(request: httpx.Request) -> httpx.Response:
    raise KeyboardInterrupt


@pytest.mark.parametrize("answers", [(interrupted,), (answer(job(), 202), interrupted)])
def test_ctrl_c_ends_with_130_and_no_stack_trace(sd_async: Command, answers: tuple[Any, ...]) -> None:
    result = sd_async("submit", "workflow.json", "--runtime", "r", "--watch", answers=answers)
    assert result.exit_code == 130
    assert "Traceback" not in result.output
    assert (f"sd-async wait {JOB_ID}" in result.stderr) == (len(answers) == 2)


def broken(make: Callable[[], Exception]) -> Callable[[httpx.Request], httpx.Response]:
    def answer_with_a_bug(request: httpx.Request) -> httpx.Response:
        raise make()

    return answer_with_a_bug


def test_a_bug_is_told_by_its_place_and_without_its_text_which_may_hold_a_key(sd_async: Command) -> None:
    result = sd_async("get", JOB_ID, answers=(broken(lambda: TypeError(f"bad value {KEY}")),))
    assert result.exit_code == 70
    assert "bug in sd-async: TypeError at test_cli.py:" in result.stderr
    assert KEY not in result.output
    assert "Traceback" not in result.output


def test_a_reader_that_went_away_is_no_bug(sd_async: Command) -> None:
    result = sd_async("get", JOB_ID, answers=(broken(lambda: BrokenPipeError(errno.EPIPE, "gone")),))
    assert result.exit_code == 1
    assert result.stderr == ""


@pytest.mark.parametrize(
    "answers",
    [
        (answer(succeeded([output("a.png")])), PNG),
        (refused(403, "forbidden"),),
        (httpx.Response(403, json={"message": "Forbidden"}),),
        (httpx.ConnectError("refused"),),
        (httpx.LocalProtocolError("Illegal header"),),
    ],
)
def test_the_key_is_never_printed(sd_async: Command, answers: tuple[Any, ...]) -> None:
    for args in (("get", JOB_ID), ("wait", JOB_ID, "-o", "out"), ("get", JOB_ID, "--json")):
        assert KEY not in sd_async(*args, answers=answers).output
