"""Pictures in another format, by the encoder's own functions and by its process."""

import asyncio
import contextlib
import json
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from agent.errors import OutputFormatError
from agent.outputs import encoder
from agent.outputs.encoding import Answer, Encoder
from sd_async.contract.jobs import OutputOptions
from tests.agent.pictures import (
    PARAMETERS,
    PROMPT,
    WORKFLOW,
    comfyui_png,
    encoded,
    opened,
    parameters_as_a1111_reads_them,
    picture,
    png,
    texts_as_comfyui_reads_them,
)
from tests.agent.scenario import in_loop

BOTH = pytest.mark.parametrize("kind", ["jpeg", "webp"])


def made(tmp_path: Path, data: bytes, kind: str, **options: Any) -> tuple[Image.Image, dict[str, Any]]:
    (tmp_path / "source").write_bytes(data)
    order = {"source": str(tmp_path / "source"), "target": str(tmp_path / "target"), "format": kind}
    answer = encoder.answer({"quality": None, "metadata": None, **order, **options})
    assert "error" not in answer, answer
    return opened((tmp_path / "target").read_bytes()), answer


def refused(tmp_path: Path, data: bytes, kind: str) -> str:
    (tmp_path / "source").write_bytes(data)
    order = {"source": str(tmp_path / "source"), "target": str(tmp_path / "target"), "format": kind}
    return str(encoder.answer({"quality": None, "metadata": None, **order})["error"])


@BOTH
def test_comfyuis_prompt_and_workflow_stand_where_its_editor_looks_for_them(tmp_path: Path, kind: str) -> None:
    image, answer = made(tmp_path, comfyui_png(), kind)
    assert image.format == kind.upper()
    assert texts_as_comfyui_reads_them(image) == {"prompt": PROMPT, "workflow": WORKFLOW}
    assert answer == {"is_kept": False, "left_out": []}


@BOTH
def test_a1111s_parameters_stand_where_it_looks_for_them(tmp_path: Path, kind: str) -> None:
    image, _ = made(tmp_path, png({"parameters": PARAMETERS}), kind)
    assert parameters_as_a1111_reads_them(image) == PARAMETERS


@BOTH
def test_texts_come_back_into_a_png(tmp_path: Path, kind: str) -> None:
    texts = {"parameters": PARAMETERS, "prompt": json.dumps(PROMPT, ensure_ascii=False), "extra": '{"a": "ü"}'}
    made(tmp_path, png(texts), kind)
    there = (tmp_path / "target").read_bytes()
    image, _ = made(tmp_path, there, "png")
    assert image.info == texts


@BOTH
def test_stripped_means_that_nothing_of_it_is_left(tmp_path: Path, kind: str) -> None:
    image, _ = made(tmp_path, comfyui_png(), kind, metadata="strip")
    assert not image.info.keys() & {"exif", "xmp", "comment"}
    assert b"SaveImage" not in (tmp_path / "target").read_bytes()


def test_a_workflow_too_large_for_jpeg_is_left_out_by_name_and_the_parameters_stay(tmp_path: Path) -> None:
    texts = {"workflow": json.dumps(["x" * 70_000]), "parameters": PARAMETERS}
    image, answer = made(tmp_path, png(texts), "jpeg")
    assert answer["left_out"] == ["workflow"]
    assert parameters_as_a1111_reads_them(image) == PARAMETERS
    whole, answer = made(tmp_path, png(texts), "webp")
    assert answer["left_out"] == []
    assert texts_as_comfyui_reads_them(whole)["workflow"] == ["x" * 70_000]


def test_more_texts_than_exif_has_places_for_are_left_out_by_name(tmp_path: Path) -> None:
    texts = {name: f'"{name}"' for name in ("a", "b", "c", "d", "prompt", "workflow")}
    _, answer = made(tmp_path, png(texts), "webp")
    assert answer["left_out"] == ["c", "d"]


def test_a_jpeg_lies_on_white_where_the_picture_was_transparent(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    image, _ = made(tmp_path, png(image=clear), "jpeg")
    assert (image.mode, image.getpixel((8, 8))) == ("RGB", (255, 255, 255))
    image, _ = made(tmp_path, png(image=clear), "webp")
    assert image.mode == "RGBA"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_every_mode_becomes_one_that_the_format_has(tmp_path: Path, mode: str, kind: str) -> None:
    source = picture("RGB").convert("CMYK") if mode == "CMYK" else picture(mode)
    if mode == "I;16":
        source = Image.new("I;16", (48, 32), 0x8000)
    image, _ = made(tmp_path, encoded(source, "TIFF"), kind)
    assert image.size == source.size
    if mode == "I;16" and kind != "png":
        assert image.convert("L").getpixel((3, 3)) == pytest.approx(0x80, abs=2)


def test_quality_says_how_many_bytes_it_may_be(tmp_path: Path) -> None:
    data, sizes = png(image=Image.effect_noise((128, 128), 90).convert("RGB")), []
    for quality in (10, None, 100):
        made(tmp_path, data, "webp", quality=quality)
        sizes.append((tmp_path / "target").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] * 2 < sizes[1] < sizes[2]


def test_a_picture_that_moves_is_left_alone(tmp_path: Path) -> None:
    data = encoded(picture(), "GIF", save_all=True, append_images=[picture("L").rotate(180)], duration=100)
    (tmp_path / "source").write_bytes(data)
    order = {"source": str(tmp_path / "source"), "target": str(tmp_path / "target"), "format": "png"}
    assert encoder.answer(order) == {"is_kept": True, "left_out": []}
    assert not (tmp_path / "target").exists()


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is so large, in under a hundred bytes."""
    data = png(image=Image.new("L", (1, 1)))
    head = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + data[24:29]
    return data[:12] + head + zlib.crc32(head).to_bytes(4) + data[33:]


@pytest.mark.parametrize(
    ("kind", "width", "height", "words"),
    [
        ("jpeg", 65_501, 1, "at most 65500 a side"),
        ("webp", 16_384, 1, "at most 16383 a side"),
        ("webp", 5001, 5000, "at most 25000000 are made WEBP"),
        ("png", 8193, 8192, "at most 67108864 are made PNG"),
    ],
)
def test_a_picture_beyond_a_bound_is_refused_with_both_numbers(
    tmp_path: Path, kind: str, width: int, height: int, words: str
) -> None:
    sentence = refused(tmp_path, bomb(width, height), kind)
    assert f"{width} x {height}" in sentence
    assert words in sentence


@pytest.mark.parametrize("data", [b"", b"no picture", comfyui_png()[:60], bomb(100, 100)])
def test_what_is_no_whole_picture_is_refused_in_words(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, data, "jpeg").startswith("It cannot be read")


def test_a_text_that_unpacks_to_more_than_a_text_may_be_is_refused_in_words(tmp_path: Path) -> None:
    chunks = PngInfo()
    chunks.add_text("prompt", "x" * (2 << 20), zip=True)
    data = encoded(picture(), "PNG", pnginfo=chunks)
    assert len(data) < 10_000
    assert "MAX_TEXT_CHUNK" in refused(tmp_path, data, "webp")


WHOLE = (comfyui_png(), encoded(picture(), "JPEG"), encoded(picture("RGBA"), "WEBP"), encoded(picture("P"), "GIF"))


@settings(deadline=None)
@given(st.sampled_from(WHOLE), st.data())
def test_any_damage_ends_in_a_picture_or_in_a_sentence(whole: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:place] + data.draw(st.binary(max_size=9)) + whole[place + data.draw(st.integers(0, 9)) :]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        source.write_bytes(damaged)
        order = {"source": str(source), "target": str(target), "format": "jpeg", "quality": None, "metadata": None}
        answer = encoder.answer(order)
        assert ("error" in answer) or (opened(target.read_bytes()).format == "JPEG")
        assert len(json.dumps(answer)) < 1000


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        ("max\n", encoder.MEMORY_BYTES),
        (f"{1 << 30}\n", encoder.MEMORY_BYTES),
        (f"{512 << 20}\n", 320 << 20),
        (f"{128 << 20}\n", encoder.LEAST_BYTES),
    ],
)
def test_the_process_takes_what_its_container_has_beside_the_agent(tmp_path: Path, limit: str, most: int) -> None:
    (tmp_path / "memory.max").write_text(limit)
    assert encoder.memory_bytes([tmp_path / "memory.max", tmp_path / "none"]) == most
    assert encoder.memory_bytes([tmp_path / "none", tmp_path / "memory.max"]) == most


@contextlib.asynccontextmanager
async def process(*command: str, timeout_s: float = 15.0) -> AsyncIterator[Encoder]:
    started = Encoder((sys.executable, "-c", *command), timeout_s) if command else Encoder(timeout_s=timeout_s)
    async with contextlib.aclosing(started) as running:
        yield running


WEBP = OutputOptions(format="webp")


@in_loop
async def test_the_process_encodes_one_picture_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(comfyui_png())
    async with process() as running:
        answers = await asyncio.gather(*(running.encoded(tmp_path / "a", tmp_path / name, WEBP) for name in "bcd"))
        assert answers == [Answer(), Answer(), Answer()]
        assert opened((tmp_path / "d").read_bytes()).format == "WEBP"


@in_loop
async def test_two_jobs_pictures_are_encoded_one_after_the_other(tmp_path: Path) -> None:
    mark = tmp_path / "busy"
    script = f"import json, pathlib, sys, time; mark = pathlib.Path({str(mark)!r})\nfor _ in sys.stdin:\n"
    script += " met = mark.exists(); mark.touch(); time.sleep(0.05); mark.unlink(missing_ok=True)\n"
    script += " print(json.dumps({'left_out': ['met'] if met else []}), flush=True)"
    async with process(script) as one, process(script) as other:
        works = [each.encoded(tmp_path / "a", tmp_path / "b", WEBP) for each in (one, other, one, other)]
        assert await asyncio.gather(*works) == [Answer()] * 4


@in_loop
async def test_a_picture_that_needs_more_memory_than_there_is_harms_nobody(tmp_path: Path) -> None:
    large = Image.new("RGB", (5000, 5000))
    (tmp_path / "large").write_bytes(png(image=large))
    (tmp_path / "small").write_bytes(comfyui_png())
    script = "from agent.outputs import encoder; encoder.MEMORY_BYTES = 96 << 20; encoder.main()"
    async with process(script) as running:
        with pytest.raises(OutputFormatError, match="memory"):
            await running.encoded(tmp_path / "large", tmp_path / "out", WEBP)
        assert await running.encoded(tmp_path / "small", tmp_path / "out", WEBP) == Answer()


@in_loop
async def test_a_process_that_dies_is_a_failure_in_words_and_the_next_picture_gets_another(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(comfyui_png())
    dies = f"import os, pathlib; m = pathlib.Path({str(tmp_path / 'once')!r}); there = m.exists(); m.touch()\n"
    dies += "if not there: os.kill(os.getpid(), 9)\nfrom agent.outputs import encoder; encoder.main()"
    async with process(dies) as running:
        with pytest.raises(OutputFormatError, match="damaged, or takes too much memory"):
            await running.encoded(tmp_path / "a", tmp_path / "b", WEBP)
        assert await running.encoded(tmp_path / "a", tmp_path / "b", WEBP) == Answer()


@in_loop
async def test_a_process_that_hangs_is_ended(tmp_path: Path) -> None:
    async with process("import time; time.sleep(60)", timeout_s=0.2) as running:
        with pytest.raises(OutputFormatError, match="within 0 s"):
            await running.encoded(tmp_path / "a", tmp_path / "b", WEBP)
        assert running._process is None


@in_loop
async def test_the_process_knows_nothing_of_the_agents_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/secrets/token")
    script = (
        "import json, os, sys; sys.stdin.readline(); print(json.dumps({'error': ' '.join(os.environ)}), flush=True)"
    )
    async with process(script) as running:
        with pytest.raises(OutputFormatError) as told:
            await running.encoded(tmp_path / "a", tmp_path / "b", WEBP)
    assert "AWS" not in told.value.message
    assert "PYTHONPATH" in told.value.message


def test_the_agent_itself_never_loads_pillow() -> None:
    import subprocess  # noqa: PLC0415 - of this test only

    script = "import sys, agent.__main__; print('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
