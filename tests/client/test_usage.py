"""Wrong usage, flags and the help."""

import json
from typing import Any

import pytest

from sd_async import __version__
from tests.client.command import WORKFLOW, Command
from tests.client.fakes import JOB_ID, KEY, answer, job


@pytest.mark.parametrize(
    ("args", "stdin", "says"),
    [
        (("submit", "nowhere.json"), None, "No such file or directory. See"),
        (("submit", "-", "--runtime", "r"), "{", "not JSON"),
        (("submit", "-", "--runtime", "r"), "[]", "no JSON object"),
        (("submit", "-"), WORKFLOW, "--runtime NAME"),
        (("submit", "-", "--runtime", "r"), '{"nodes": [], "links": []}', "Export (API)"),
        (("submit", "-", "--runtime", "r", "--file", "x"), WORKFLOW, "NAME=URL"),
        (("submit", "-", "--runtime", "r", "--timeout", "0"), WORKFLOW, "x>=1"),
        (("submit", "-", "--runtime", "r", "--type", "video"), WORKFLOW, "text-to-image"),
        (("get", "../x"), None, "no job id"),
        (("get",), None, "sd-async get --help"),
        (("frobnicate",), None, "frobnicate"),
        (("--config", "nowhere.toml", "get", JOB_ID), None, "nowhere.toml"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence_before_anything_is_sent(
    sd_async: Command, args: tuple[str, ...], stdin: str | None, says: str
) -> None:
    result = sd_async(*args, stdin=stdin)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""
    assert sd_async.api.requests == []
    as_json = sd_async(*args, "--json", stdin=stdin)
    assert says in json.loads(as_json.stderr)["error"]["message"]


@pytest.mark.parametrize(("missing", "says"), [("ENDPOINT", "SD_ASYNC_ENDPOINT"), ("API_KEY", "SD_ASYNC_API_KEY")])
def test_a_missing_endpoint_or_key_says_where_to_put_it(sd_async: Command, missing: str, says: str) -> None:
    absent: dict[str, Any] = {missing: None}
    result = sd_async("get", JOB_ID, **absent)
    assert result.exit_code == 2
    assert says in result.stderr
    assert ".sd-async.toml" in result.stderr


def test_flags_stand_before_or_after_the_command_and_win(sd_async: Command) -> None:
    sd_async("--endpoint", "https://a", "get", JOB_ID, "--api-key", "b", answers=(answer(job()),))
    sd_async("--endpoint", "https://a", "get", JOB_ID, "--endpoint", "https://c", answers=(answer(job()),))
    assert sd_async.asked == [("https://a", "b"), ("https://c", KEY)]


def test_help_has_examples_and_exit_codes_and_the_version_is_the_packages(sd_async: Command) -> None:
    for args in (("--help",), ("-h",)):
        text = sd_async(*args).stdout
        assert "sd-async submit workflow.json --runtime sd15 --watch -o out" in text
        assert "130 Ctrl-C" in text
    assert sd_async("--version").stdout == f"sd-async, version {__version__}\n"
