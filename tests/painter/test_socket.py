"""The WebSocket: order of messages, who gets them, previews, and its measured oddities."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from tests.painter.client import Comfy, Message, between, flat, new_id, painting, received


@pytest.fixture
def previewing(tmp_path: Path) -> Iterator[Comfy]:
    settings = PainterSettings(data=tmp_path, seconds_per_step=0.0, has_previews=True)
    with serving(settings) as url, Comfy(url, tmp_path) as comfy:
        yield comfy


def _kinds(frames: list[Message | bytes]) -> list[str]:
    return [frame["type"] if isinstance(frame, dict) else "binary" for frame in frames]


def test_the_messages_of_a_prompt_come_in_comfyui_s_order(comfy: Comfy) -> None:
    client_id = new_id()
    with comfy.socket(client_id) as socket:
        prompt_id = comfy.submit(between(flat("order"), "PainterSleep", seconds=0.0, steps=2), client_id=client_id)
        frames = received(socket, prompt_id)
    assert _kinds(frames) == [
        "status",
        *("status", "status", "execution_start", "execution_cached"),
        *("progress_state", "executing", "progress_state"),
        *("progress_state", "executing", "progress_state", "progress", "progress_state", "progress", "progress_state"),
        *("progress_state", "executing", "executed", "progress_state"),
        *("execution_success", "status", "executing"),
    ]
    messages = [frame for frame in frames if isinstance(frame, dict)]
    remaining = [m["data"]["status"]["exec_info"]["queue_remaining"] for m in messages if m["type"] == "status"]
    assert remaining == [0, 1, 1, 0]
    assert messages[0]["data"]["sid"] == client_id


def test_each_message_carries_what_clients_read(comfy: Comfy) -> None:
    client_id = new_id()
    with comfy.socket(client_id) as socket:
        prompt_id = comfy.submit(painting("shapes", steps=2), client_id=client_id)
        frames = [frame for frame in received(socket, prompt_id) if isinstance(frame, dict)]
    by_kind: dict[str, list[Any]] = {}
    for frame in frames:
        by_kind.setdefault(frame["type"], []).append(frame["data"])
    assert by_kind["execution_start"][0].keys() == {"prompt_id", "timestamp"}
    assert by_kind["execution_cached"][0]["nodes"] == []
    assert {"node": "3", "display_node": "3", "prompt_id": prompt_id} in by_kind["executing"]
    assert by_kind["progress"] == [{"value": value, "max": 2, "prompt_id": prompt_id, "node": "3"} for value in (1, 2)]
    (executed,) = by_kind["executed"]
    assert (executed["node"], executed["output"]["images"][0]["type"]) == ("9", "output")
    last = by_kind["progress_state"][-1]
    assert last["prompt_id"] == prompt_id
    assert {entry["state"] for entry in last["nodes"].values()} == {"finished"}
    assert set(last["nodes"]["3"]) == {
        "value", "max", "state", "node_id", "display_node_id", "parent_node_id", "real_node_id", "prompt_id",
    }  # fmt: skip


def test_history_is_there_when_the_last_message_comes(comfy: Comfy) -> None:
    client_id = new_id()
    with comfy.socket(client_id) as socket:
        for number in range(10):
            prompt_id = comfy.submit(flat(f"there {number}"), client_id=client_id)
            received(socket, prompt_id)
            assert comfy.history(prompt_id) is not None


def test_a_cached_prompt_still_sends_executed(comfy: Comfy) -> None:
    client_id = new_id()
    comfy.run(flat("cached"))
    with comfy.socket(client_id) as socket:
        frames = received(socket, comfy.submit(flat("cached"), client_id=client_id))
    assert "executed" in _kinds(frames)
    (cached,) = [f["data"]["nodes"] for f in frames if isinstance(f, dict) and f["type"] == "execution_cached"]
    assert cached == ["1", "2"]


def test_the_messages_of_another_client_s_prompt_are_not_sent(comfy: Comfy) -> None:
    client_id = new_id()
    with comfy.socket(client_id) as mine, comfy.socket() as other:
        prompt_id = comfy.submit(painting("private"), client_id=client_id)
        received(mine, prompt_id)
        comfy.http.post("/queue", json={"clear": True})
        seen: list[str] = []
        while seen.count("status") < 5:
            seen.append(json.loads(other.recv(10))["type"])
    assert set(seen) == {"status"}


def test_of_a_prompt_without_client_everybody_gets_progress_and_nothing_else(comfy: Comfy) -> None:
    with comfy.socket() as socket:
        comfy.run(painting("nobody", steps=2, seed=99))
        seen: list[str] = []
        while seen.count("status") < 4:
            seen.append(json.loads(socket.recv(10))["type"])
    assert set(seen) == {"status", "progress_state", "progress"}


def test_an_interrupt_is_told_to_everybody_when_the_prompt_has_no_client(comfy: Comfy) -> None:
    with comfy.socket() as socket:
        prompt_id = comfy.submit(between(flat("stopped"), "PainterSleep", seconds=600.0, steps=600))
        comfy.wait_until_running(prompt_id)
        comfy.interrupted(prompt_id)
        seen: list[str] = []
        while "execution_interrupted" not in seen:
            seen.append(json.loads(socket.recv(10))["type"])


def test_a_client_without_an_id_is_given_one(comfy: Comfy) -> None:
    with comfy.socket() as socket:
        sid = json.loads(socket.recv(10))["data"]["sid"]
        received(socket, comfy.submit(flat("given id"), client_id=sid))


def test_a_client_that_comes_late_is_told_the_current_node(comfy: Comfy) -> None:
    client_id = new_id()
    graph = between(flat("late"), "PainterSleep", seconds=600.0, steps=600)
    prompt_id = comfy.submit(graph, client_id=client_id)
    comfy.wait_until_running(prompt_id)
    while True:
        with comfy.socket(client_id) as socket:
            messages = [json.loads(socket.recv(10)) for _ in range(2)]
        if messages[1]["data"].get("node") == "9":
            break
    assert messages[0]["type"] == "status"
    assert messages[1] == {"type": "executing", "data": {"node": "9"}}
    comfy.interrupted(prompt_id)


def test_the_second_socket_of_an_id_takes_over_and_goes_deaf_when_the_first_closes(comfy: Comfy) -> None:
    client_id = new_id()
    with comfy.socket(client_id) as second_after_first:
        first = second_after_first
        first.recv(10)
        with comfy.socket(client_id) as second:
            second.recv(10)
            received(second, comfy.submit(flat("taken over"), client_id=client_id))
            first.close()
            comfy.run(flat("deaf"), client_id=client_id)
            with pytest.raises(TimeoutError):
                second.recv(0.05)


def test_a_websocket_result_is_a_binary_png_and_no_output(comfy: Comfy) -> None:
    client_id = new_id()
    graph = flat("unused")
    graph["2"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
    with comfy.socket(client_id) as socket:
        prompt_id = comfy.submit(graph, client_id=client_id)
        (frame,) = [frame for frame in received(socket, prompt_id) if isinstance(frame, bytes)]
    assert struct.unpack(">II", frame[:8]) == (1, 2)
    assert frame[8:].startswith(b"\x89PNG")
    assert comfy.history(prompt_id)["outputs"] == {}


def test_a_websocket_result_is_sent_each_time_though_all_before_it_is_cached(comfy: Comfy) -> None:
    client_id, graph = new_id(), flat("unused")
    graph["2"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
    with comfy.socket(client_id) as socket:
        frames = [received(socket, comfy.submit(graph, client_id=client_id)) for _ in range(2)]
    assert [sum(isinstance(frame, bytes) for frame in of_one) for of_one in frames] == [1, 1]


def test_previews_are_jpegs_and_carry_metadata_for_those_who_ask_first(previewing: Comfy) -> None:
    plain, wanting = new_id(), new_id()
    hello = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
    with previewing.socket(plain) as socket:
        prompt_id = previewing.submit(painting("plain", steps=3), client_id=plain)
        frames = [frame for frame in received(socket, prompt_id) if isinstance(frame, bytes)]
    assert [struct.unpack(">II", frame[:8]) for frame in frames] == [(1, 1)] * 3
    with previewing.socket(wanting) as socket:
        socket.send(json.dumps(hello))
        prompt_id = previewing.submit(painting("meta", steps=3, seed=5), client_id=wanting)
        all_frames = received(socket, prompt_id)
    assert "feature_flags" in _kinds(all_frames)
    frame = next(frame for frame in all_frames if isinstance(frame, bytes))
    kind, length = struct.unpack(">II", frame[:8])
    meta = json.loads(frame[8 : 8 + length])
    assert kind == 4
    assert (meta["node_id"], meta["prompt_id"], meta["image_type"]) == ("3", prompt_id, "image/jpeg")
    assert frame[8 + length :].startswith(b"\xff\xd8")
