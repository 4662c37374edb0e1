"""The public sample's two forms."""

from typing import Any

import pytest
from hypothesis import example, given

from sd_async.contract.errors import ContractError
from sd_async.contract.forms import AlphaJob, parse_v1alpha1, parse_v1alpha2
from sd_async.contract.jobs import JobType
from tests.contract.values import JSON, judged, nearly

METADATA = {"id": "test-t2i", "runtime": "r", "tasktype": "text-to-image", "prefix": "p", "context": {"a": 1}}
V2: dict[str, Any] = {"task": {"metadata": METADATA, "content": {"prompt": "cat"}}}
SCRIPTS = {"task": "text-to-image", "sd_model_checkpoint": "r", "id_task": "t-1", "uid": "u", "save_dir": "p"}
V1: dict[str, Any] = {"prompt": "cat", "alwayson_scripts": {**SCRIPTS, "controlnet": {"args": []}}}


def v2(**changes: Any) -> dict[str, Any]:
    return {"task": {"metadata": METADATA | changes, "content": {}}}


def v1(**changes: Any) -> dict[str, Any]:
    return {"alwayson_scripts": SCRIPTS | changes}


def test_a_v1alpha2_body_is_read_as_the_sample_reads_it() -> None:
    assert parse_v1alpha2(V2) == AlphaJob(
        runtime="r",
        type=JobType.TEXT_TO_IMAGE,
        input={"prompt": "cat"},
        output_prefix="p",
        client_id="test-t2i",
        context={"a": 1},
    )


def test_a_v1alpha1_body_is_read_as_the_sample_reads_it_and_only_the_checkpoint_stays_of_its_own_keys() -> None:
    before = repr(V1)
    assert parse_v1alpha1(V1) == AlphaJob(
        runtime="r",
        type=JobType.TEXT_TO_IMAGE,
        input={"prompt": "cat", "alwayson_scripts": {"sd_model_checkpoint": "r", "controlnet": {"args": []}}},
        output_prefix="p",
        client_id="t-1",
    )
    assert repr(V1) == before, "the caller's document is not changed"


@pytest.mark.parametrize("kind", [*JobType, "pipeline"])
def test_every_task_type_is_taken_and_a_pipeline_is_a_workflow(kind: str) -> None:
    expected = JobType.WORKFLOW if kind == "pipeline" else JobType(kind)
    assert parse_v1alpha2(v2(tasktype=str(kind))).type is expected
    assert parse_v1alpha1(v1(task=str(kind))).type is expected


@pytest.mark.parametrize("context", ["", {}, None, [1], 0])
def test_a_context_may_be_anything(context: Any) -> None:
    assert parse_v1alpha2(v2(context=context)).context == context


def test_an_id_may_be_left_out() -> None:
    document = {"task": {"metadata": {key: METADATA[key] for key in ("runtime", "tasktype", "prefix")}, "content": {}}}
    assert parse_v1alpha2(document).client_id is None


def test_fields_that_we_do_not_know_are_no_error_in_a_form_that_is_not_ours() -> None:
    assert parse_v1alpha2(v2(extra=1)).runtime == "r"


@pytest.mark.parametrize(
    ("parse", "document", "code", "field"),
    [
        (parse_v1alpha2, {}, "missing_field", "task"),
        (parse_v1alpha2, {"task": []}, "invalid_type", "task"),
        (parse_v1alpha2, {"task": {"content": {}}}, "missing_field", "task.metadata"),
        (parse_v1alpha2, {"task": {"metadata": METADATA}}, "missing_field", "task.content"),
        (parse_v1alpha2, v2(prefix=None), "invalid_type", "task.metadata.prefix"),
        (parse_v1alpha2, v2(tasktype="video"), "invalid_value", "task.metadata.tasktype"),
        (parse_v1alpha2, v2(id=7), "invalid_type", "task.metadata.id"),
        (parse_v1alpha2, [], "invalid_type", None),
        (parse_v1alpha1, {}, "missing_field", "alwayson_scripts"),
        (parse_v1alpha1, {"alwayson_scripts": []}, "invalid_type", "alwayson_scripts"),
        (parse_v1alpha1, {"alwayson_scripts": {}}, "missing_field", "alwayson_scripts.task"),
        (parse_v1alpha1, v1(save_dir=1), "invalid_type", "alwayson_scripts.save_dir"),
        (parse_v1alpha1, v1(task="video"), "invalid_value", "alwayson_scripts.task"),
    ],
)
def test_what_is_missing_or_wrong_is_named(parse: Any, document: Any, code: str, field: str | None) -> None:
    with pytest.raises(ContractError) as refusal:
        parse(document)
    assert (refusal.value.code, refusal.value.field) == (code, field)


@given(JSON)
@example(document=v2(id="\ud800", runtime="\x00"))
def test_any_json_is_a_job_in_the_samples_form_or_one_contract_error(document: Any) -> None:
    for outcome in (judged(lambda: parse_v1alpha1(document)), judged(lambda: parse_v1alpha2(document))):
        assert isinstance(outcome, AlphaJob | ContractError)


@given(nearly(METADATA), nearly(SCRIPTS))
def test_a_body_that_is_nearly_right_is_a_job_or_names_its_field(metadata: Any, scripts: Any) -> None:
    for outcome in (
        judged(lambda: parse_v1alpha2({"task": {"metadata": metadata, "content": {}}})),
        judged(lambda: parse_v1alpha1({"alwayson_scripts": scripts})),
    ):
        assert isinstance(outcome, AlphaJob | ContractError)
        if isinstance(outcome, ContractError):
            assert outcome.field
