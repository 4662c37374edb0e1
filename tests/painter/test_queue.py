"""Queue, priorities, history, interrupt."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.painter.queue import MAX_HISTORY, Item, PromptQueue
from tests.painter.client import Comfy, between, flat, new_id


def _blocked(comfy: Comfy) -> str:
    """A prompt that runs until it is interrupted."""
    prompt_id = comfy.submit(between(flat(new_id()), "PainterSleep", seconds=600.0, steps=600))
    comfy.wait_until_running(prompt_id)
    return prompt_id


def _release(comfy: Comfy, prompt_id: str) -> None:
    comfy.interrupted(prompt_id, json={"prompt_id": prompt_id})


def test_the_queue_shows_what_runs_and_what_waits(fresh: Comfy) -> None:
    running = _blocked(fresh)
    waiting = fresh.submit(flat("waits"), extra_data={"note": 1})
    assert fresh.http.get("/prompt").json() == {"exec_info": {"queue_remaining": 2}}
    queue = fresh.http.get("/api/queue").json()
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert queue["queue_pending"] == [[1, waiting, flat("waits"), {"note": 1}, ["2"]]]
    assert fresh.history(waiting) is None
    assert fresh.http.get(f"/history/{running}").json() == {}
    _release(fresh, running)
    assert fresh.ended(waiting)["status"]["completed"] is True
    assert fresh.http.get("/prompt").json() == {"exec_info": {"queue_remaining": 0}}


def test_the_lowest_number_runs_first_and_front_goes_before_all(fresh: Comfy) -> None:
    running = _blocked(fresh)
    options: dict[str, dict[str, Any]] = {
        "late": {"number": 50},
        "second": {},
        "front": {"front": True},
        "early": {"number": 0.5},
    }
    ids = {name: fresh.submit(flat(name), **option) for name, option in options.items()}
    _release(fresh, running)
    for prompt_id in ids.values():
        fresh.ended(prompt_id)
    order = [prompt_id for prompt_id in fresh.http.get("/history").json() if prompt_id != running]
    assert order == [ids[name] for name in ("front", "early", "second", "late")]


def test_a_waiting_prompt_can_be_deleted_and_leaves_no_history(fresh: Comfy) -> None:
    running, deleted, kept = _blocked(fresh), fresh.submit(flat("deleted")), fresh.submit(flat("kept"))
    assert fresh.http.post("/queue", json={"delete": [deleted, running, "unknown"]}).content == b""
    queue = fresh.http.get("/queue").json()
    assert [item[1] for item in queue["queue_running"]] == [running], "the running one is never deleted"
    assert [item[1] for item in queue["queue_pending"]] == [kept]
    fresh.http.post("/queue", json={"clear": True})
    assert fresh.http.get("/prompt").json()["exec_info"]["queue_remaining"] == 1
    _release(fresh, running)
    assert list(fresh.http.get("/history").json()) == [running]


def test_two_waiting_prompts_of_one_number_and_id_are_a_500_and_both_are_queued(fresh: Comfy) -> None:
    running = _blocked(fresh)
    twice = [fresh.post(flat(name), prompt_id="same", number=9).status_code for name in ("one", "two")]
    assert twice == [200, 500]
    assert fresh.http.get("/prompt").json()["exec_info"]["queue_remaining"] == 3
    _release(fresh, running)


def test_an_interrupted_prompt_is_an_error_that_only_its_last_message_explains(fresh: Comfy) -> None:
    running = _blocked(fresh)
    _release(fresh, running)
    entry = fresh.history(running)
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    kind, data = entry["status"]["messages"][-1]
    assert (kind, data["node_id"], data["node_type"], data["executed"]) == (
        "execution_interrupted", "9", "PainterSleep", ["1"],
    )  # fmt: skip


def test_an_interrupt_for_a_prompt_that_does_not_run_stops_nothing(fresh: Comfy) -> None:
    running, waiting = _blocked(fresh), fresh.submit(flat("waiting"))
    for prompt_id in (waiting, "unknown"):
        assert fresh.http.post("/interrupt", json={"prompt_id": prompt_id}).status_code == 200
    assert [item[1] for item in fresh.http.get("/queue").json()["queue_running"]] == [running]
    _release(fresh, running)


@pytest.mark.parametrize("body", [None, b"", b"{}", b"not json"])
def test_an_interrupt_without_a_prompt_id_stops_whatever_runs(fresh: Comfy, body: bytes | None) -> None:
    running = _blocked(fresh)
    assert fresh.interrupted(running, content=body)["status"]["messages"][-1][0] == "execution_interrupted"


def test_an_interrupt_while_nothing_runs_is_forgotten(fresh: Comfy) -> None:
    fresh.http.post("/interrupt")
    assert fresh.run(flat("after"))["status"]["completed"] is True


def test_requests_without_their_body_are_500(fresh: Comfy) -> None:
    assert [fresh.http.post(path).status_code for path in ("/free", "/queue", "/history")] == [500, 500, 500]
    assert fresh.http.post("/interrupt", json=["x"]).status_code == 500
    assert fresh.http.get("/history", params={"max_items": "x"}).status_code == 500


def test_a_failed_node_is_reported_with_its_exception_and_earlier_outputs_are_kept(fresh: Comfy) -> None:
    graph = between(flat("after the fault"), "PainterRaise", message="no luck")
    graph["0"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "before"}}
    entry = fresh.run(dict(sorted(graph.items())))
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    kind, data = entry["status"]["messages"][-1]
    assert kind == "execution_error"
    assert (data["node_id"], data["node_type"]) == ("9", "PainterRaise")
    assert (data["exception_type"], data["exception_message"]) == ("RuntimeError", "no luck")
    assert {"executed", "traceback", "current_inputs", "current_outputs"} <= set(data)
    assert list(entry["outputs"]) == ["0"]


def test_out_of_memory_has_the_name_that_clients_look_for(fresh: Comfy) -> None:
    data = fresh.run(between(flat("oom"), "PainterOOM"))["status"]["messages"][-1][1]
    assert data["exception_type"] == "torch.OutOfMemoryError"
    assert fresh.run(flat("goes on"))["status"]["completed"] is True


def test_history_is_paged_and_deleted(fresh: Comfy) -> None:
    ids = [fresh.submit(flat(str(number))) for number in range(4)]
    for prompt_id in ids:
        fresh.ended(prompt_id)

    def listed(**query: int) -> list[str]:
        return list(fresh.http.get("/history", params=query).json())

    assert listed() == ids
    assert listed(max_items=2) == ids[2:], "max_items alone gives the newest"
    assert listed(max_items=2, offset=1) == ids[1:3]
    assert listed(offset=3) == ids[3:]
    assert fresh.http.post("/history", json={"delete": [ids[0], "unknown"]}).content == b""
    assert listed() == ids[1:]
    fresh.http.post("/history", json={"clear": True})
    assert listed() == []


def test_a_second_prompt_with_an_id_replaces_the_history_entry(fresh: Comfy) -> None:
    fresh.run(flat("first"), prompt_id="again")
    fresh.submit(flat("second"), prompt_id="again")
    fresh.run(flat("third"))
    assert fresh.history("again")["outputs"]["2"]["images"][0]["filename"] == "second_00001_.png"


def _queue(on_change: Callable[[], None] = lambda: None) -> PromptQueue:
    return PromptQueue(on_change)


def _item(number: float, name: str) -> Item:
    return (number, name, {}, {}, [])


def test_the_oldest_history_is_forgotten_beyond_the_limit() -> None:
    queue = _queue()
    for number in range(MAX_HISTORY + 1):
        queue.put(_item(number, str(number)))
        taken = queue.take(0)
        assert taken
        queue.done(taken[0], {"outputs": {}})
    assert len(queue.history(None, -1)) == MAX_HISTORY
    assert queue.history_of("0") == {}


def test_many_threads_may_submit_at_once(fresh: Comfy) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: fresh.submit(flat(f"many {number}")), range(32)))
    numbers = [fresh.ended(prompt_id)["prompt"][0] for prompt_id in ids]
    assert sorted(numbers) == list(range(32)), json.dumps(numbers)
