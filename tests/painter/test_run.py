"""A prompt from submission to picture: outputs, file names, PNG chunks, caching."""

import io
import json

from PIL import Image

from tests.painter.client import Comfy, flat, new_id, painting


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_text_to_image_prompt_ends_in_a_picture_of_the_size_asked_for(comfy: Comfy) -> None:
    entry = comfy.run(painting("whole", width=96, height=64))
    items = entry["outputs"]["9"]["images"]
    assert items == [{"filename": "whole_00001_.png", "subfolder": "", "type": "output"}]
    assert _opened(comfy.picture(items[0])).size == (96, 64)
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["completed"] is True
    assert [kind for kind, _ in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]


def test_the_history_keeps_the_prompt_as_it_was_queued(comfy: Comfy) -> None:
    prompt_id = new_id()
    graph = flat("kept")
    entry = comfy.run(graph, prompt_id=prompt_id, client_id="someone", extra_data={"note": 1})
    number, kept_id, kept_graph, extra_data, outputs = entry["prompt"]
    assert (kept_id, kept_graph, outputs) == (prompt_id, graph, ["2"])
    assert extra_data == {"note": 1, "client_id": "someone"}
    assert isinstance(number, int)
    assert all(data["prompt_id"] == prompt_id and data["timestamp"] > 10**12 for _, data in entry["status"]["messages"])


def test_files_are_numbered_over_what_is_in_the_folder_now(comfy: Comfy) -> None:
    names = [comfy.run(flat("count", color=color))["outputs"]["2"]["images"][0]["filename"] for color in (1, 2)]
    assert names == ["count_00001_.png", "count_00002_.png"]
    (comfy.data / "output" / "count_00002_.png").unlink()
    again = comfy.run(flat("count", color=3))["outputs"]["2"]["images"][0]["filename"]
    assert again == "count_00002_.png", "a number comes back once its file is gone"


def test_a_slash_in_the_prefix_makes_a_subfolder(comfy: Comfy) -> None:
    item = comfy.run(flat("a/b/deep"))["outputs"]["2"]["images"][0]
    assert item == {"filename": "deep_00001_.png", "subfolder": "a/b", "type": "output"}
    assert comfy.picture(item)


def test_a_prefix_that_leaves_the_output_folder_is_an_execution_error(comfy: Comfy) -> None:
    entry = comfy.run(flat("../escaped"))
    kind, data = entry["status"]["messages"][-1]
    assert kind == "execution_error"
    assert (data["node_id"], data["node_type"]) == ("2", "SaveImage")
    assert not list(comfy.data.glob("escaped*"))


def test_a_png_carries_the_graph_and_what_the_client_adds(comfy: Comfy) -> None:
    graph = flat("chunks")
    entry = comfy.run(graph, extra_data={"extra_pnginfo": {"workflow": {"nodes": []}}})
    picture = _opened(comfy.picture(entry["outputs"]["2"]["images"][0]))
    assert json.loads(picture.info["prompt"]) == graph
    assert json.loads(picture.info["workflow"]) == {"nodes": []}


def test_a_preview_goes_to_the_temp_folder_under_a_random_name(comfy: Comfy) -> None:
    graph = flat("preview")
    graph["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    item = comfy.run(graph)["outputs"]["2"]["images"][0]
    assert item["type"] == "temp"
    assert comfy.picture(item)


def test_a_batch_gives_one_file_for_each_picture(comfy: Comfy) -> None:
    items = comfy.run(painting("batch", batch_size=3))["outputs"]["9"]["images"]
    assert [item["filename"] for item in items] == [f"batch_0000{n}_.png" for n in (1, 2, 3)]
    assert len({comfy.picture(item) for item in items}) == 3


def test_an_animation_is_one_file_that_says_so_beside_its_name(comfy: Comfy) -> None:
    graph = painting("moving", batch_size=3)
    graph["9"] = {
        "class_type": "SaveAnimatedWEBP",
        "inputs": {
            "images": ["8", 0],
            "filename_prefix": "moving",
            "fps": 4,
            "lossless": False,
            "quality": 80,
            "method": "fastest",
        },
    }
    outputs = comfy.run(graph)["outputs"]["9"]
    assert outputs["animated"] == [True]
    assert outputs["images"] == [{"filename": "moving_00001_.webp", "subfolder": "", "type": "output"}]
    picture = _opened(comfy.picture(outputs["images"][0]))
    assert (picture.format, getattr(picture, "n_frames", 1)) == ("WEBP", 3)


def test_a_combined_video_is_told_under_gifs_with_its_format(comfy: Comfy) -> None:
    graph = painting("combined", batch_size=3)
    inputs = {"frame_rate": 8, "loop_count": 0, "format": "image/gif", "pingpong": True, "save_output": False}
    graph["9"] = {
        "class_type": "VHS_VideoCombine",
        "inputs": {"images": ["8", 0], "filename_prefix": "combined", **inputs},
    }
    [item] = comfy.run(graph)["outputs"]["9"]["gifs"]
    assert (item["type"], item["format"]) == ("temp", "image/gif")
    picture = _opened(comfy.picture({name: item[name] for name in ("filename", "subfolder", "type")}))
    assert (picture.format, getattr(picture, "n_frames", 1)) == ("GIF", 4)


def test_a_file_of_any_kind_is_told_under_its_key(comfy: Comfy) -> None:
    inputs = {"key": "audio", "suffix": ".flac", "text": "sound", "filename_prefix": "a/b"}
    outputs = comfy.run({"1": {"class_type": "PainterFile", "inputs": inputs}})["outputs"]
    assert outputs == {"1": {"audio": [{"filename": "b_00001_.flac", "subfolder": "a", "type": "output"}]}}
    assert comfy.picture(outputs["1"]["audio"][0]) == b"sound"


def test_text_outputs_are_strings(comfy: Comfy) -> None:
    graph = {"1": {"class_type": "PreviewAny", "inputs": {"source": "some words"}}}
    assert comfy.run(graph)["outputs"] == {"1": {"text": ["some words"]}}


def test_a_repeated_graph_names_the_old_files_and_writes_nothing(comfy: Comfy) -> None:
    first = comfy.run(flat("repeat"))
    renamed = {f"n{name}": node for name, node in flat("repeat").items()}
    renamed["n2"]["inputs"]["images"] = ["n1", 0]
    renamed["n2"]["_meta"] = {"title": "another title"}
    second = comfy.run(renamed)
    assert second["outputs"]["n2"] == first["outputs"]["2"], "node ids and titles do not count"
    assert sorted(second["status"]["messages"][1][1]["nodes"]) == ["n1", "n2"]
    assert len(list((comfy.data / "output").glob("repeat_*"))) == 1


def test_two_equal_save_nodes_of_one_graph_write_one_file(comfy: Comfy) -> None:
    graph = flat("twins")
    outputs = comfy.run({**graph, "3": graph["2"]})["outputs"]
    assert outputs["2"] == outputs["3"]
    assert len(list((comfy.data / "output").glob("twins_*"))) == 1


def test_an_unknown_input_is_accepted_and_counts_for_the_cache(comfy: Comfy) -> None:
    comfy.run(flat("unknown"))
    graph = flat("unknown")
    graph["2"]["inputs"]["surprise"] = 1
    assert comfy.run(graph)["outputs"]["2"]["images"][0]["filename"] == "unknown_00002_.png"


def test_a_changed_prefix_runs_only_the_save_node(comfy: Comfy) -> None:
    comfy.run(painting("one prefix"))
    cached = comfy.run(painting("other prefix"))["status"]["messages"][1][1]["nodes"]
    assert sorted(cached) == ["3", "4", "5", "6", "7", "8"]


def test_the_cache_holds_only_what_the_previous_prompt_used(comfy: Comfy) -> None:
    for prefix in ("a", "b", "a"):
        entry = comfy.run(flat(f"aba-{prefix}", color=5 if prefix == "a" else 6))
    assert entry["status"]["messages"][1][1]["nodes"] == []
    assert entry["outputs"]["2"]["images"][0]["filename"] == "aba-a_00002_.png"


def test_a_repeat_after_its_files_were_deleted_still_names_them(comfy: Comfy) -> None:
    item = comfy.run(flat("deleted"))["outputs"]["2"]["images"][0]
    (comfy.data / "output" / item["filename"]).unlink()
    assert comfy.run(flat("deleted"))["outputs"]["2"]["images"] == [item]
    assert comfy.http.get("/view", params=item).status_code == 404


def test_free_memory_drops_cached_results_and_unload_models_keeps_them(comfy: Comfy) -> None:
    comfy.run(flat("free"))
    assert comfy.http.post("/free", json={"unload_models": True}).content == b""
    assert comfy.run(flat("free"))["status"]["messages"][1][1]["nodes"] == ["1", "2"]
    comfy.http.post("/free", json={"free_memory": True})
    assert comfy.run(flat("free"))["status"]["messages"][1][1]["nodes"] == []


def test_load_image_notices_that_a_file_changed(comfy: Comfy) -> None:
    graph = flat("changed file")
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "changing.png"}}
    names = []
    for color in ("red", "red", "blue"):
        Image.new("RGB", (8, 8), color).save(comfy.data / "input" / "changing.png")
        names.append(comfy.run(graph)["outputs"]["2"]["images"][0]["filename"])
    assert names == ["changed file_00001_.png", "changed file_00001_.png", "changed file_00002_.png"]
