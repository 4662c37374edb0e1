"""What `submit` makes of a file."""

import json
from typing import Any

import pytest

from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import JobRequest, JobType, OutputOptions
from sd_async.errors import UsageError
from sd_async.jobfile import Overrides, files_of, request_of

WORKFLOW = {"3": {"class_type": "KSampler", "inputs": {}}, "9": {"class_type": "SaveImage", "inputs": {}}}


def made(document: Any, default_runtime: str | None = None, **flags: Any) -> JobRequest:
    return request_of(json.dumps(document).encode(), Overrides(**flags), default_runtime)


def test_a_bare_workflow_runs_where_the_flag_says_or_else_the_configuration() -> None:
    assert made(WORKFLOW, "default", runtime="flag") == JobRequest(runtime="flag", input=WORKFLOW)
    assert made(WORKFLOW, "default") == JobRequest(runtime="default", input=WORKFLOW)


def test_a_bare_workflow_that_nobody_gives_a_runtime_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match="--runtime NAME"):
        made(WORKFLOW)


def test_a_whole_body_is_sent_as_it_stands() -> None:
    body: dict[str, Any] = {
        "runtime": "own",
        "input": WORKFLOW,
        "type": "workflow",
        "files": {"a.png": "https://h/a"},
        "output_prefix": "p",
        "context": {"x": [1]},
        "timeout_seconds": 9,
    }
    assert made(body, "default") == JobRequest(**{**body, "type": JobType.WORKFLOW})


def test_flags_win_over_a_whole_body_and_files_are_added() -> None:
    body = {"runtime": "own", "input": WORKFLOW, "files": {"a": "https://h/a", "b": "https://h/b"}}
    request = made(
        body, runtime="flag", type=JobType.WORKFLOW, files={"b": "https://h/c"}, output_prefix="p", timeout_s=5
    )
    assert request == JobRequest(
        runtime="flag",
        input=WORKFLOW,
        type=JobType.WORKFLOW,
        files={"a": "https://h/a", "b": "https://h/c"},
        output_prefix="p",
        timeout_seconds=5,
    )


def test_flags_about_images_win_one_by_one() -> None:
    body = {"runtime": "own", "input": WORKFLOW, "output": {"format": "jpeg", "quality": 80}}
    assert made(body, output=OutputOptions(format="webp")).output == OutputOptions(format="webp", quality=80)
    assert made(body, output=OutputOptions()).output == OutputOptions(format="jpeg", quality=80)
    assert made(WORKFLOW, "r", output=OutputOptions()).output is None


def test_a_body_may_leave_its_runtime_to_the_flag() -> None:
    assert made({"input": WORKFLOW, "context": 1}, runtime="flag").context == 1


def test_a_workflow_whose_node_ids_are_words_is_still_a_workflow() -> None:
    named = {"input": WORKFLOW["3"], "sampler": WORKFLOW["3"]}
    assert made(named, "default").input == named


@pytest.mark.parametrize("wrap", [False, True])
def test_a_workflow_in_the_editors_format_gets_the_sentence_that_says_how_to_export(*, wrap: bool) -> None:
    editor = {"nodes": [{"id": 3, "type": "KSampler"}], "links": []}
    with pytest.raises(UsageError, match=r"Export \(API\)"):
        made({"runtime": "r", "input": editor} if wrap else editor, "default")


@pytest.mark.parametrize(
    ("document", "code", "field"),
    [
        ({"runtime": "r", "input": {}, "inputs": 1}, "unknown_field", "inputs"),
        ({"runtime": "r", "input": []}, "invalid_type", "input"),
        ({"runtime": "r"}, "missing_field", "input"),
        ({"runtime": "r", "input": {}, "type": "video"}, "invalid_type", "type"),
    ],
)
def test_a_body_that_breaks_the_contract_is_refused_before_it_is_sent(
    document: Any, code: str, field: str | None
) -> None:
    with pytest.raises(ContractError) as refusal:
        made(document, "default")
    assert (refusal.value.code, refusal.value.field) == (code, field)


@pytest.mark.parametrize("document", [[], "x", 1, None])
def test_json_that_is_no_object_gets_the_sentence_that_says_what_to_give(document: Any) -> None:
    with pytest.raises(UsageError, match="no JSON object; give a workflow"):
        made(document, "default")


def test_files_are_pairs_and_a_url_may_hold_an_equals_sign() -> None:
    assert files_of(("a=https://h/?x=1", "b=s3://bucket/k")) == {"a": "https://h/?x=1", "b": "s3://bucket/k"}


@pytest.mark.parametrize("pairs", [("a",), ("=https://h",), ("a=",), ("a=https://h", "a=https://i")])
def test_a_file_that_is_no_pair_or_comes_twice_is_refused(pairs: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--file"):
        files_of(pairs)
