"""The command as the tests run it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sd_async.cli import cli
from sd_async.client import Client
from tests.client.fakes import ENDPOINT, KEY, FakeApi, FakeTime, refused

WORKFLOW = json.dumps({"3": {"class_type": "KSampler", "inputs": {}}})


class Command:
    """Runs `sd-async` in a folder of its own, with a client that answers from a script."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        self._env = {"HOME": str(folder), "SD_ASYNC_ENDPOINT": ENDPOINT, "SD_ASYNC_API_KEY": KEY}
        self.time = FakeTime()
        self.asked: list[tuple[str, str]] = []
        self.api = FakeApi(refused(500, "no_script"))

    def __call__(
        self, *args: str, answers: tuple[Any, ...] = (), stdin: str | None = None, **env: str | None
    ) -> Result:
        self.api = FakeApi(*answers) if answers else self.api
        known = {**self._env, **{f"SD_ASYNC_{name}": value for name, value in env.items()}}
        return CliRunner().invoke(cli, list(args), input=stdin, env=known, obj=self._connect)

    def _connect(self, endpoint: str, key: str) -> Client:
        self.asked.append((endpoint, key))
        return Client(endpoint, key, transport=self.api, clock=self.time.clock, sleep=self.time.sleep)
