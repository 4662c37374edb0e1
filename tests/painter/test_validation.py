"""POST /prompt: what is refused and how, and what is accepted although something is wrong."""

from typing import Any

import pytest

from tests.painter.client import Comfy, between, flat, new_id, painting


def _changed(graph: dict[str, Any], node: str, **inputs: Any) -> dict[str, Any]:
    changed = {**graph[node], "inputs": {**graph[node]["inputs"], **inputs}}
    return {**graph, node: changed}


def _without(graph: dict[str, Any], node: str, name: str) -> dict[str, Any]:
    inputs = {key: value for key, value in graph[node]["inputs"].items() if key != name}
    return {**graph, node: {**graph[node], "inputs": inputs}}


PAINTING = painting("refused")


@pytest.mark.parametrize(
    ("graph", "node", "kind", "name"),
    [
        (_without(PAINTING, "3", "seed"), "3", "required_input_missing", "seed"),
        (_changed(PAINTING, "3", steps="many"), "3", "invalid_input_type", "steps"),
        (_changed(PAINTING, "3", steps=0), "3", "value_smaller_than_min", "steps"),
        (_changed(PAINTING, "3", cfg=100.5), "3", "value_bigger_than_max", "cfg"),
        (_changed(PAINTING, "3", sampler_name="magic"), "3", "value_not_in_list", "sampler_name"),
        (_changed(PAINTING, "4", ckpt_name="missing.safetensors"), "4", "value_not_in_list", "ckpt_name"),
        (_changed(PAINTING, "3", model=["5", 0]), "3", "return_type_mismatch", "model"),
        (_changed(PAINTING, "3", model=["4", 0, 0]), "3", "bad_linked_input", "model"),
    ],
)
def test_a_bad_input_is_refused_with_its_node_and_name(
    comfy: Comfy, graph: dict[str, Any], node: str, kind: str, name: str
) -> None:
    answer = comfy.post(graph)
    assert answer.status_code == 400
    body = answer.json()
    assert body["error"]["type"] == "prompt_outputs_failed_validation"
    entry = body["node_errors"][node]
    assert (entry["class_type"], entry["dependent_outputs"]) == (graph[node]["class_type"], ["9"])
    (reason,) = entry["errors"]
    assert (reason["type"], reason["extra_info"]["input_name"]) == (kind, name)
    assert set(reason) == {"type", "message", "details", "extra_info"}


def test_a_model_that_is_not_there_is_answered_with_the_ones_that_are(comfy: Comfy) -> None:
    graph = painting("model", ckpt_name="missing.safetensors")
    reason = comfy.post(graph).json()["node_errors"]["4"]["errors"][0]
    assert reason["extra_info"]["received_value"] == "missing.safetensors"
    assert "v1-5-pruned-emaonly-fp16.safetensors" in reason["extra_info"]["input_config"][0]


def test_an_input_file_that_is_not_there_fails_the_node_s_own_check(comfy: Comfy) -> None:
    for name in ("missing.png", "../../secret.png"):
        graph = _changed(flat("file"), "2", images=["3", 0])
        graph["3"] = {"class_type": "LoadImage", "inputs": {"image": name}}
        (reason,) = comfy.post(graph).json()["node_errors"]["3"]["errors"]
        assert reason["type"] == "custom_validation_failed"
        assert name in reason["details"]


@pytest.mark.parametrize("link", [["77", 0], ["1", 5]], ids=["missing node", "missing slot"])
def test_a_link_to_nothing_is_reported_as_an_exception(comfy: Comfy, link: list[Any]) -> None:
    at_output = comfy.post(_changed(flat("link"), "2", images=link)).json()["node_errors"]["2"]["errors"][0]
    assert at_output["type"] == "exception_during_validation"
    deeper = between(flat("link"), "ImageInvert")
    at_inner = comfy.post(_changed(deeper, "9", image=link)).json()["node_errors"]["9"]["errors"][0]
    assert at_inner["type"] == "exception_during_inner_validation"
    assert at_inner["extra_info"]["traceback"]


@pytest.mark.parametrize(
    ("graph", "kind"),
    [
        ({}, "prompt_no_outputs"),
        ({"1": flat("x")["1"]}, "prompt_no_outputs"),
        ({"1": {"class_type": "NoSuchNode", "inputs": {}}}, "invalid_prompt"),
        ({"1": {"inputs": {}}}, "invalid_prompt"),
        ({"nodes": [], "links": [], "version": 0.4}, "invalid_prompt"),
    ],
    ids=["empty", "no output node", "unknown class", "no class", "the editor's format"],
)
def test_a_graph_that_cannot_run_at_all_is_refused_as_a_whole(comfy: Comfy, graph: dict[str, Any], kind: str) -> None:
    answer = comfy.post(graph)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == kind
    assert answer.json()["node_errors"] == {}


def test_an_unknown_class_is_named_with_its_node(comfy: Comfy) -> None:
    error = comfy.post({"12": {"class_type": "NoSuchNode", "inputs": {}}}).json()["error"]
    assert "NoSuchNode" in error["message"]
    assert "12" in error["details"]


def test_a_cycle_is_refused_without_node_errors(comfy: Comfy) -> None:
    graph = _changed(between(flat("cycle"), "ImageInvert"), "9", image=["9", 0])
    body = comfy.post(graph).json()
    assert (body["error"]["type"], body["node_errors"]) == ("prompt_outputs_failed_validation", {})


def test_a_body_without_a_prompt_is_no_prompt(comfy: Comfy) -> None:
    answer = comfy.http.post("/prompt", json={"client_id": "x"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "no_prompt")


@pytest.mark.parametrize(
    "body", [b"{not json", b'{"prompt": [1]}', b'{"prompt": "x"}', b'{"prompt": {}, "number": "x"}']
)
def test_what_is_no_request_at_all_is_a_500_in_plain_text(comfy: Comfy, body: bytes) -> None:
    answer = comfy.http.post("/prompt", content=body)
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_partly_valid_graph_is_accepted_and_its_valid_output_runs(comfy: Comfy) -> None:
    graph = flat("partly")
    graph["3"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}
    answer = comfy.post(graph)
    assert answer.status_code == 200
    assert list(answer.json()["node_errors"]) == ["3"]
    entry = comfy.ended(answer.json()["prompt_id"])
    assert (list(entry["outputs"]), entry["status"]["status_str"]) == (["2"], "success")


def test_only_the_targets_of_a_partial_execution_run(comfy: Comfy) -> None:
    graph = flat("target one")
    graph["3"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "target two"}}
    assert list(comfy.run(graph, partial_execution_targets=["3"])["outputs"]) == ["3"]
    refused = comfy.post(graph, partial_execution_targets=["1"])
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "prompt_no_outputs")


def test_numbers_sent_as_text_are_kept_as_numbers(comfy: Comfy) -> None:
    entry = comfy.run(_changed(flat("text number"), "1", width="16", color="255"))
    assert entry["prompt"][2]["1"]["inputs"] == {"width": 16, "height": 16, "batch_size": 1, "color": 255}


def test_a_plain_value_where_a_link_belongs_fails_only_in_execution(comfy: Comfy) -> None:
    entry = comfy.run(_changed(flat("plain"), "2", images="a picture"))
    kind, data = entry["status"]["messages"][-1]
    assert (kind, data["node_id"]) == ("execution_error", "2")
    assert data["current_inputs"]["images"] == ["a picture"]


def test_a_prompt_id_is_honoured_whatever_it_is(comfy: Comfy) -> None:
    mine = new_id()
    assert comfy.submit(flat("id"), prompt_id=mine) == mine
    assert comfy.submit(flat("id"), prompt_id=17) == "17"
    assert comfy.submit(flat("id"), prompt_id=None) == "None"
    for prompt_id in (mine, "17", "None"):
        assert comfy.ended(prompt_id)["prompt"][1] == prompt_id


def test_a_body_over_the_limit_is_a_413_in_plain_text(comfy: Comfy) -> None:
    answer = comfy.http.post("/prompt", content=b" " * (100 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.headers["content-type"].startswith("text/plain")
