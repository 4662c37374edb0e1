"""Metadata goes, pixels stay: without decoding, for PNG, JPEG and WebP."""

import contextlib
import io
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from agent.outputs.stripping import DamagedError, strip
from tests.agent.pictures import PARAMETERS, PROMPT, comfyui_png, encoded, opened, picture, png

SECRET = "a private prompt"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = Image.Exif()
EXIF[0x0110] = f"prompt:{SECRET}"
XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{SECRET}</x:xmpmeta>'.encode()


def stripped(data: bytes) -> bytes:
    target = io.BytesIO()
    strip(io.BytesIO(data), target)
    return target.getvalue()


def idat(data: bytes) -> list[bytes]:
    """The compressed pixels of a PNG, chunk by chunk."""
    found, place = [], 8
    while place < len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"IDAT":
            found.append(data[place + 8 : place + 8 + size])
        place += size + 12
    return found


def test_a_pngs_texts_go_and_its_compressed_pixels_stay_byte_for_byte() -> None:
    data = png({"prompt": json.dumps(PROMPT), "parameters": PARAMETERS, "x": "long " * 900}, exif=EXIF)
    bare = stripped(data)
    assert opened(bare).info == {}
    assert dict(opened(bare).getexif()) == {}
    assert idat(bare) == idat(data)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_of_any_mode_has_the_same_pixels_after_it(mode: str) -> None:
    image = Image.new(mode, (7, 5), 3) if mode == "I;16" else picture(mode)
    before = png({"prompt": SECRET}, image)
    after = opened(stripped(before))
    assert (after.mode, after.tobytes()) == (opened(before).mode, opened(before).tobytes())


@pytest.mark.parametrize(
    "data",
    [
        encoded(picture(), "JPEG", exif=EXIF, xmp=XMP, comment=SECRET, icc_profile=PROFILE, quality=90),
        encoded(picture(), "JPEG", exif=EXIF, progressive=True, icc_profile=PROFILE),
        encoded(picture("L"), "JPEG", comment=SECRET, icc_profile=PROFILE),
        encoded(picture(), "WEBP", exif=EXIF, xmp=XMP, icc_profile=PROFILE),
        encoded(picture("RGBA"), "WEBP", exif=EXIF, lossless=True, icc_profile=PROFILE),
        png({"prompt": SECRET}, icc_profile=PROFILE),
    ],
    ids=["jpeg", "progressive", "grey", "webp", "lossless", "png"],
)
def test_nothing_of_the_description_is_left_and_the_colour_profile_is(data: bytes) -> None:
    assert SECRET.encode() in data, "or the rest would prove nothing"
    bare = stripped(data)
    assert SECRET.encode() not in bare
    assert opened(bare).tobytes() == opened(data).tobytes()
    assert opened(bare).info["icc_profile"] == PROFILE
    assert not opened(bare).info.keys() & {"exif", "xmp", "comment"}


def test_a_webp_without_description_does_not_announce_one() -> None:
    data = encoded(picture(), "WEBP", exif=EXIF, xmp=XMP, icc_profile=PROFILE)
    announced, icc = 0x08 | 0x04, 0x20
    assert data[20] & announced == announced, "the flags of VP8X, or the rest would prove nothing"
    assert stripped(data)[20] & (announced | icc) == icc


def test_a_moving_webp_moves_on() -> None:
    frames = [picture(), picture("L").rotate(180).convert("RGB")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=100, exif=EXIF)
    after = opened(stripped(data))
    assert getattr(after, "n_frames", 1) == 2
    assert SECRET.encode() not in stripped(data)
    assert len(stripped(data)) - 8 == struct.unpack("<I", stripped(data)[4:8])[0], "the container says its own size"


def test_what_has_no_description_is_left_as_it_is() -> None:
    for data in (png(), encoded(picture(), "WEBP"), encoded(picture(), "JPEG")):
        assert stripped(data) == data


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 "])
def test_what_is_no_whole_picture_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(DamagedError, match=r"\w+ \w+"):
        stripped(data)


@settings(deadline=None)
@given(st.data())
def test_any_damage_ends_in_bytes_or_in_that_one_error(data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from([comfyui_png(), encoded(picture(), "JPEG", exif=EXIF), encoded(picture(), "WEBP")])
    )
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:place] + data.draw(st.binary(max_size=9)) + whole[place + data.draw(st.integers(0, 9)) :]
    with contextlib.suppress(DamagedError):
        assert len(stripped(damaged)) <= len(damaged)
