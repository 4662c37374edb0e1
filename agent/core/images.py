"""Pictures that an A1111 payload names by address: the agent fetches them, never the runtime."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sd_async.contract import checks, limits
from sd_async.contract.errors import ContractError

_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_TOP = ("init_images", "mask", "image")


def addresses(body: Mapping[str, Any]) -> dict[str, str]:
    """Every address in an image field, by itself: the name under which its file goes into the payload."""
    return {url: url for _, url in _located(body)}


def check_addresses(body: Mapping[str, Any], files: Mapping[str, str], buckets: frozenset[str], inputs: str) -> None:
    """files: those that the job names beside its payload. inputs: name of the input bucket.

    Raises: ContractError naming the field, for what `files` may not hold either, and for more than MAX_FILES in all.
    """
    found = list(_located(body))
    for field, url in found:
        checks.check_file_url(url, buckets, field)
        try:
            checks.check_not_others_input({field: url}, inputs)
        except ContractError as problem:
            raise ContractError(problem.code, problem.message, field) from problem
    if (count := len({url for _, url in found} | files.keys())) > limits.MAX_FILES:
        raise ContractError("invalid_value", f"{count} files are over the limit of {limits.MAX_FILES}.", "input")


def _located(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Field and address: `init_images`, `mask`, `image`, `imageList[].data`, and whatever a script calls so."""
    for name in _TOP:
        yield from _texts(body.get(name), f"input.{name}")
    listed = body.get("imageList")
    for index, item in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(item, dict):
            yield from _texts(item.get("data"), f"input.imageList.{index}.data")
    for name in ("alwayson_scripts", "script_args"):
        yield from _of_scripts(body.get(name), f"input.{name}", is_image=False)


def _of_scripts(value: Any, field: str, *, is_image: bool) -> Iterator[tuple[str, str]]:
    """A script's arguments have any shape; what is named `…image…` or `…mask…` in them is a picture."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _of_scripts(inner, f"{field}.{name}", is_image=is_image or "image" in name or "mask" in name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _of_scripts(inner, f"{field}.{index}", is_image=is_image)
    elif is_image:
        yield from _texts(value, field)


def _texts(value: Any, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and _ADDRESS.match(value):
        yield field, value
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, str) and _ADDRESS.match(inner):
                yield f"{field}.{index}", inner
