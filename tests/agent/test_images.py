"""Pictures that an A1111 payload names by address, and how long its model took."""

from typing import Any

import pytest
from hypothesis import given, settings

from agent.core.images import addresses
from agent.core.loading import LoadTime
from agent.core.plan import check_message
from agent.errors import InvalidJobError
from sd_async.contract.jobs import JobType, Runtime, RuntimeType
from sd_async.contract.limits import MAX_FILES
from tests.agent.scenario import message_of
from tests.agent.test_comfyui_values import JSON

A, B, C, D = (f"https://pictures.example/{name}.png?X-Amz-Signature=s" for name in "abcd")
S3 = "s3://team/e.png"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"init_images": [A, "aGk=", B], "mask": C}, {A, B, C}),
        ({"image": S3}, {S3}),
        ({"imageList": [{"data": A, "name": "https://no.example/"}, {"data": "aGk="}]}, {A}),
        ({"alwayson_scripts": {"ControlNet": {"args": [{"image": A, "mask": B, "model": D}]}}}, {A, B}),
        ({"alwayson_scripts": {"ControlNet": {"args": [{"input_image": {"image": A, "mask": [B]}}]}}}, {A, B}),
        ({"script_args": [{"mask_image": A}, B]}, {A}),
        ({"mask": f"  {A.upper()}"}, {f"  {A.upper()}"}),
        ({"prompt": A, "negative_prompt": A, "styles": [A]}, set()),
        ({"mask": "data:image/png;base64,aGk=", "image": "aGk//+=", "init_images": "aGk="}, set()),
        ({"init_images": A}, {A}),
    ],
)
def test_addresses_are_found_in_image_fields_and_nowhere_else(body: dict[str, Any], found: set[str]) -> None:
    assert addresses(body) == {url: url for url in found}


@settings(deadline=None)
@given(JSON, JSON)
def test_any_payload_has_some_addresses(one: Any, other: Any) -> None:
    for body in ({"init_images": one, "imageList": other}, {"alwayson_scripts": one, "mask": other}, {"image": one}):
        assert all(isinstance(url, str) for url in addresses(body))


def check(body: dict[str, Any], files: dict[str, str] | None = None) -> None:
    message = message_of(type=JobType.IMAGE_TO_IMAGE, input=body, files=files or {})
    runtime = Runtime(type=RuntimeType.A1111, timeout_seconds=60)
    check_message(message, "comfy", runtime, buckets=frozenset({"inputs", "team"}), input_bucket="inputs")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://pictures.example/a.png", "file_scheme"),
        ("file:///etc/passwd", "file_scheme"),
        ("ftp://pictures.example/a.png", "file_scheme"),
        ("s3://others/a.png", "file_bucket"),
        ("s3://inputs/jobs/another/job.json", "file_bucket"),
        (" https://pictures.example/a.png", "invalid_value"),
        ("https:///a.png", "invalid_value"),
    ],
)
def test_an_address_that_the_runtime_itself_would_have_fetched_is_refused_by_field(url: str, code: str) -> None:
    check({"init_images": ["aGk=", A]})
    with pytest.raises(InvalidJobError) as refused:
        check({"init_images": ["aGk=", url]})
    assert (refused.value.problem.code, refused.value.problem.field) == (code, "input.init_images.1")


def test_files_and_addresses_together_are_bounded() -> None:
    urls = [f"https://pictures.example/{number}" for number in range(MAX_FILES)]
    check({"init_images": [*urls, *urls]}, {})
    with pytest.raises(InvalidJobError, match=f"{MAX_FILES + 1} files are over the limit of {MAX_FILES}"):
        check({"init_images": urls}, {"a.png": A})


def test_a_load_has_a_length_only_once_both_its_ends_were_seen() -> None:
    loading = LoadTime()
    loading.saw(is_loading=False, at_s=1)
    assert loading.seconds is None
    loading.saw(is_loading=True, at_s=2)
    loading.saw(is_loading=True, at_s=5)
    assert loading.seconds is None
    loading.saw(is_loading=False, at_s=9.5)
    loading.saw(is_loading=False, at_s=20)
    assert loading.seconds == 7.5
