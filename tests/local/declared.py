"""What the real program declares for the dev stack in local mode, without creating any of it."""

import functools
import json
from dataclasses import dataclass, field
from typing import Any

from local.deploy.engine import evaluate
from local.deploy.up import CALLER
from local.emulator import ACCOUNT
from local.system import ROOT, Options, local_config

_COMPUTED = (
    *("arn", "bucket", "digest", "executionArn", "invokeArn", "invokeUrl", "name", "repositoryUrl", "rootResourceId"),
    *("url", "value"),
)


@dataclass(frozen=True)
class Declared:
    token: str
    name: str
    inputs: dict[str, Any]


@dataclass
class _Recorder:
    found: list[Declared] = field(default_factory=list)

    def create(self, token: str, name: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self.found.append(Declared(token, name, inputs))
        return f"{name}-id", {output: f"{name}-{output}" for output in _COMPUTED}

    def call(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert token == CALLER, (token, arguments)
        return {"accountId": ACCOUNT}


@functools.cache
def resources() -> tuple[Declared, ...]:
    """Every resource that a provider would create, with its inputs as they arrive: numbers are floats."""
    recorder = _Recorder()
    config = local_config(Options(), "http://127.0.0.1:4566")
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    evaluate(ROOT / "__main__.py", project="sd-async", stack="dev", config=texts, placer=recorder)
    return tuple(recorder.found)


def first_of_each_kind() -> list[Declared]:
    """One resource of every kind."""
    return list({one.token: one for one in sorted(resources(), key=lambda one: (one.token, one.name))}.values())
