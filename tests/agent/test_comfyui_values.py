"""What ComfyUI's graphs, outputs and messages are turned into, apart from any server."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.edges.comfyui.graph import folder_of, prepared, upload_name
from agent.edges.comfyui.outputs import File, artifacts
from agent.edges.comfyui.progress import Tracker
from agent.edges.comfyui.replies import check_accepted, outputs_of
from agent.edges.comfyui.socket import Socket
from agent.errors import AgentError, InvalidWorkflowError
from agent.neighbour import Neighbour
from sd_async.contract.codec import decode, encode
from sd_async.contract.jobs import JobError, Progress
from tests.agent.scenario import JOB_ID

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("fox", "sd-async/j-1/fox"),
        ("animals/fox", "sd-async/j-1/animals/fox"),
        ("../../fox", "sd-async/j-1/fox"),
        ("/etc/fox", "sd-async/j-1/etc/fox"),
        ("..\\fox", "sd-async/j-1/fox"),
        ("", "sd-async/j-1/ComfyUI"),
        (["4", 0], ["4", 0]),
    ],
)
def test_every_prefix_gets_a_folder_of_its_attempt(asked: Any, sent: Any) -> None:
    graph = {"9": {"class_type": "SaveImage", "inputs": {"filename_prefix": asked}}}
    assert prepared(graph, "j-1", {})["9"]["inputs"]["filename_prefix"] == sent


def test_only_whole_text_inputs_are_taken_for_a_files_name() -> None:
    inputs = {
        "image": "a.png",
        "marked": "a.png [input]",
        "made": "a.png [output]",
        "text": "see a.png",
        "link": ["a.png", 0],
        "list": ["a.png", "c.png", 3],
        "filename_prefix": "x",
    }
    changed = prepared({"1": {"class_type": "X", "inputs": inputs}}, "j-1", {"a.png": "sub/b.png"})
    assert changed["1"]["inputs"] == inputs | {
        "image": "sub/b.png",
        "marked": "sub/b.png",
        "list": ["sub/b.png", "c.png", 3],
        "filename_prefix": "sd-async/j-1/x",
    }


def test_a_last_node_without_a_prefix_of_its_own_is_told_from_the_same_node_of_another_run() -> None:
    graph: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": ["1", 0]}},
    }
    changed = prepared(graph, "j-1", {})
    assert [node for node in changed if "sd_async" in changed[node]["inputs"]] == ["2", "4"]
    assert changed["2"]["inputs"]["sd_async"] == "j-1"
    assert "sd_async" not in graph["2"]["inputs"]


def test_nodes_of_any_other_shape_pass_as_they_are_for_comfyui_to_refuse() -> None:
    graph: dict[str, Any] = {"1": {"class_type": "X"}, "2": {"inputs": None}, "3": "text"}
    assert prepared(graph, "j-1", {}) == graph


@pytest.mark.parametrize(
    ("name", "stored"),
    [("a.PNG", "x-0.png"), ("a", "x-0"), ("a.tar.gz", "x-0.gz"), ("a.p n", "x-0"), ("a.ünï", "x-0"), ("a.", "x-0")],
)
def test_an_uploads_name_keeps_a_plain_extension_and_nothing_else(name: str, stored: str) -> None:
    assert upload_name("x", 0, name) == f"sd-async-{stored}"


def item(filename: str, kind: str = "output", subfolder: str = "") -> dict[str, str]:
    return {"filename": filename, "subfolder": subfolder, "type": kind}


FOLDER = folder_of("j-1")
UUID = "0123456789abcdef" * 2
OUTPUTS: dict[str, Any] = {
    "20": {"text": ["one", "two"]},
    "11": {"images": [item("a.mp4")], "animated": [True]},
    "9": {"images": [item("fox_00001_.png", subfolder="s"), item("t.png", "temp")]},
    "12": {"audio": [item("a.flac")], "gifs": [item("b.webm") | {"format": "video/webm"}]},
    "13": {"latents": [item("z.latent")], "3d": [item("m.glb")], "odd": [item("x.bin")]},
    "14": {"result": ["model.glb", None], "nothing": None, "input": [item("in.png", "input")]},
    "15": {"images": [item("fox_00001_.png", subfolder="other")]},
}


def test_every_kind_is_taken_in_the_graphs_order_under_names_of_its_own() -> None:
    found = artifacts(OUTPUTS, ["9", "11", "12", "13", "14", "15", "20"], FOLDER)
    assert [(one.name, one.type, one.node_id) for one in found] == [
        ("fox_00001_.png", "image", "9"),
        ("a.mp4", "video", "11"),
        ("a.flac", "audio", "12"),
        ("b.webm", "video", "12"),
        ("z.latent", "latent", "13"),
        ("m.glb", "3d", "13"),
        ("x.bin", "file", "13"),
        ("fox_00001_-2.png", "image", "15"),
        ("text_20.txt", "text", "20"),
        ("text_20-2.txt", "text", "20"),
    ]


def test_previews_are_taken_only_when_no_file_was_saved() -> None:
    previews = {"1": {"images": [item("t.png", "temp")]}, "2": {"text": ["words"]}}
    assert [one.name for one in artifacts(previews, [], FOLDER)] == ["t.png", "text_2.txt"]


def test_a_name_with_folders_in_it_is_only_its_last_part() -> None:
    [one] = artifacts({"1": {"images": [item("../../etc/passwd")]}}, [], FOLDER)
    assert one.name == "passwd"


def test_a_mesh_that_was_saved_and_is_shown_as_well_is_delivered_once() -> None:
    """SaveGLB tells its file under `3d`; Preview3D and Preview3DAnimation name the same one."""
    saved = item("ComfyUI_00001_.glb", subfolder=f"{FOLDER}/mesh")
    name = f"{FOLDER}/mesh/ComfyUI_00001_.glb"
    outputs = {"5": {"3d": [saved]}, "6": {"result": [name, None]}, "7": {"result": [name, {"position": 1}, None]}}
    [one] = artifacts(outputs, ["5", "6", "7"], FOLDER)
    assert (one.name, one.type, one.content_type, one.node_id) == (
        "ComfyUI_00001_.glb",
        "3d",
        "model/gltf-binary",
        "5",
    )


@pytest.mark.parametrize(
    ("named", "source"),
    [
        (f"{FOLDER}/3D/Hy3D_00001_.glb", File("Hy3D_00001_.glb", f"{FOLDER}/3D", "output")),
        (f"{FOLDER}\\3D\\Hy3D_00001_.glb", File("Hy3D_00001_.glb", f"{FOLDER}/3D", "output")),
        (f"{FOLDER}/a.obj", File("a.obj", FOLDER, "output")),
        (f"preview3d_{UUID}.glb", File(f"preview3d_{UUID}.glb", "", "output")),
        ("mesh/ComfyUI_00001_.glb", None),
        ("sd-async/j-2/mesh.glb", None),
        ("sd-async/j-11/mesh.glb", None),
        (f"{FOLDER}/../j-2/mesh.glb", None),
        (f"{FOLDER}\\..\\j-2\\mesh.glb", None),
        (f"{FOLDER}/", None),
        (f"/{FOLDER}/mesh.glb", None),
        (f"x/preview3d_{UUID}.glb", None),
        (f"preview3d_{UUID[1:]}.glb", None),
        (f"preview3d_{UUID}.glb/..", None),
        ("", None),
    ],
)
def test_a_mesh_that_only_a_viewer_names_is_delivered_where_it_can_be_nobody_elses(
    named: str, source: File | None
) -> None:
    found = artifacts({"6": {"result": [named, None]}, "7": {"other": [named]}}, ["6", "7"], FOLDER)
    assert [one.source for one in found] == ([source] if source else [])


def test_what_a_viewer_wrote_itself_is_a_preview() -> None:
    shown = {"6": {"result": [f"preview3d_{UUID}.glb", None]}}
    assert [one.name for one in artifacts({"5": {"3d": [item("m.glb")]}} | shown, [], FOLDER)] == ["m.glb"]
    assert [one.name for one in artifacts(shown, [], FOLDER)] == [f"preview3d_{UUID}.glb"]


def progress_of(*messages: dict[str, Any], graph: dict[str, Any] | None = None) -> list[Progress]:
    seen: list[Progress] = []
    tracker = Tracker(graph or {name: {"class_type": name.upper()} for name in "abcd"}, seen.append)
    for message in messages:
        hear(tracker, encode(message))
    return seen


def hear(tracker: Tracker, *frames: bytes) -> float:
    """As the socket hands on what came together. Returns its pause until it reads on, in seconds."""
    socket = Socket(Neighbour("http://127.0.0.1:1"), 1)
    with socket.following(JOB_ID, tracker):
        for frame in frames:
            socket._told(frame)
        return socket._told_all()


def test_cached_nodes_count_as_done_and_the_running_one_by_its_steps() -> None:
    seen = progress_of(
        {"type": "execution_cached", "data": {"prompt_id": JOB_ID, "nodes": ["a", "b", "unknown"]}},
        {"type": "executing", "data": {"prompt_id": JOB_ID, "node": "c"}},
        {"type": "progress", "data": {"prompt_id": JOB_ID, "node": "c", "value": 5, "max": 20}},
        {"type": "executing", "data": {"prompt_id": JOB_ID, "node": "d"}},
    )
    assert [(one.value, one.nodes_done, one.current_node_class) for one in seen] == [
        (0.5, 2, None),
        (0.5, 2, "C"),
        (0.5625, 2, "C"),
        (0.75, 3, "D"),
    ]
    assert (seen[2].step, seen[2].steps) == (5, 20)


def test_progress_never_goes_back() -> None:
    running = {"prompt_id": JOB_ID, "nodes": {"a": {"state": "running", "value": 9, "max": 10}}}
    again = {"prompt_id": JOB_ID, "nodes": {"a": {"state": "running", "value": 1, "max": 10}}}
    values = [
        one.value for one in progress_of(*({"type": "progress_state", "data": data} for data in (running, again)))
    ]
    assert values[1] == values[0]


def step(value: int, most: int = 20, node: str = "c") -> bytes:
    return encode({"type": "progress", "data": {"prompt_id": JOB_ID, "node": node, "value": value, "max": most}})


def executing(node: str | None) -> bytes:
    return encode({"type": "executing", "data": {"prompt_id": JOB_ID, "node": node}})


class Stepping:
    """A prompt's tracker, and the time."""

    def __init__(self) -> None:
        self.at_s = 100.0
        self.told: list[Progress] = []
        graph = {name: {"class_type": name.upper()} for name in "abcd"}
        self._tracker = Tracker(graph, self.told.append, now_s=lambda: self.at_s)

    def hear(self, *frames: bytes, at_s: float) -> float:
        """Seconds for which the socket is left alone then. at_s: since the beginning."""
        self.at_s = 100.0 + at_s
        return hear(self._tracker, *frames)


def test_what_comes_together_is_told_once() -> None:
    stepping = Stepping()
    stepping.hear(executing("c"), step(1), step(2), at_s=0)
    stepping.hear(at_s=1)
    assert [(one.current_node, one.step) for one in stepping.told] == [("c", 2)]


def test_the_socket_is_left_alone_for_most_of_the_time_that_steps_still_take() -> None:
    stepping = Stepping()
    assert stepping.hear(executing("c"), step(1), at_s=0) == 0  # nothing says yet how long a step takes
    assert stepping.hear(step(2), at_s=0.01) == pytest.approx(17.5 * 0.01 * 0.75)
    assert stepping.hear(step(11), at_s=0.10) == pytest.approx(8.5 * 0.01 * 0.75)
    assert stepping.hear(step(19), at_s=0.18) == pytest.approx(0.5 * 0.01 * 0.75)  # the last may be half as long
    assert stepping.hear(step(20), at_s=0.19) == 0  # whatever comes now may be the end


def test_the_socket_is_never_left_alone_for_long() -> None:
    stepping = Stepping()
    stepping.hear(executing("c"), step(1), at_s=0)
    assert stepping.hear(step(2), at_s=10) == 0.25


def test_another_nodes_steps_take_a_time_of_their_own() -> None:
    stepping = Stepping()
    stepping.hear(executing("c"), step(1), at_s=0)
    stepping.hear(step(2), at_s=0.2)
    assert stepping.hear(executing("d"), at_s=0.3) == 0
    assert stepping.hear(step(4, node="d"), at_s=0.36) == pytest.approx(15.5 * 0.06 / 4 * 0.75)


def test_a_node_that_starts_anew_is_measured_anew() -> None:
    stepping = Stepping()
    stepping.hear(executing("c"), step(5), at_s=0)
    assert stepping.hear(step(1), at_s=0.1) == 0
    assert stepping.hear(step(2), at_s=0.11) == pytest.approx(17.5 * 0.01 * 0.75)


@pytest.mark.parametrize("kind", ["execution_success", "execution_error", "execution_interrupted"])
def test_after_what_may_be_the_end_the_socket_is_read_on(kind: str) -> None:
    stepping = Stepping()
    stepping.hear(executing("c"), step(1), at_s=0)
    assert stepping.hear(step(2), encode({"type": kind, "data": {"prompt_id": JOB_ID}}), at_s=0.1) == 0


@given(st.sampled_from(["execution_cached", "executing", "progress", "progress_state", "status", "x"]), JSON)
def test_any_message_is_survived(kind: str, data: Any) -> None:
    tracker = Tracker({"a": {"class_type": "A"}}, lambda _: None)
    told = {"nodes": data, "node": data, "value": data, "max": data, "prompt_id": JOB_ID}
    documents = [{"type": kind, "data": data}, {"type": kind, "data": told}, data]
    hear(tracker, *(encode(document) for document in documents), b"{", b"\xff")


@given(st.dictionaries(st.text(max_size=3), st.dictionaries(st.text(max_size=3), JSON, max_size=3), max_size=3))
def test_any_outputs_are_survived(outputs: Any) -> None:
    names = [one.name for one in artifacts(outputs, list(outputs), FOLDER)]
    assert len(set(names)) == len(names)


@given(st.integers(100, 599), JSON)
def test_any_answer_is_a_value_or_one_of_our_errors(status: int, document: Any) -> None:
    for ask in (
        lambda: check_accepted(status, document),
        lambda: outputs_of({"status": document, "outputs": document}),
    ):
        try:
            ask()
        except AgentError as error:
            encode(error.detail)


@pytest.mark.parametrize("number", [10**400, -(10**400), float("inf"), 2**70])
def test_a_reason_with_a_number_that_no_float_holds_is_kept_in_a_form_that_can_be_read_again(number: float) -> None:
    with pytest.raises(InvalidWorkflowError) as refused:
        check_accepted(400, {"node_errors": {"3": {"errors": [{"received_value": number}]}}})
    assert decode(encode(refused.value.detail), JobError) == refused.value.detail
