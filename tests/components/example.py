"""A stack with two runtimes, as settings and as the configuration they come from."""

import json
from typing import Any

from components.settings import Settings, parse

# A tag alone would do here, and not in a cluster of the stack's own.
COMFYUI, A1111, AGENT = (f"registry.example/{name}:1@sha256:{'0' * 64}" for name in ("comfyui", "a1111", "agent"))

CONFIG: dict[str, Any] = {
    "aws:region": "us-west-2",
    "sd-async:runtimes": [
        {"name": "sd15", "type": "comfyui", "image": COMFYUI},
        {"name": "sdxl", "type": "a1111", "image": A1111, "job_timeout_s": 900},
    ],
    "sd-async:agent": {"image": AGENT},
    "sd-async:cluster": {"create": False},  # what is inside a cluster has tests of its own
    "sd-async:storage": {"file_buckets": ["team-a", "team-b"]},
}


def stack(**sections: Any) -> Settings:
    return parse("sd-async", "dev", changed(**sections))


def changed(**sections: Any) -> dict[str, Any]:
    """The configuration with whole sections replaced."""
    return CONFIG | {f"sd-async:{name}": value for name, value in sections.items()}


def as_text(config: dict[str, Any]) -> dict[str, str]:
    """The configuration as Pulumi hands it to a program."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in config.items()}
