"""The programs that `pulumi up` needs on the operator's machine, and whether they are new enough."""

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ops.findings import Finding, Status

ANSWER_WAIT_S = 20.0  # each answers in a second or two; the AWS CLI takes longest the first time

Ask = Callable[[Sequence[str]], str | None]  # what a command prints; None where there is no such program


class Tool(NamedTuple):
    """oldest: the major version that is needed."""

    command: tuple[str, ...]
    oldest: int
    fix: str


TOOLS = (
    Tool(("pulumi", "version"), 3, "install it from https://www.pulumi.com/docs/install/"),
    Tool(("aws", "--version"), 2, "install AWS CLI v2; the cluster's kubeconfig signs in with it"),
)


def ask(command: Sequence[str]) -> str | None:
    """What the command prints on either stream; None where it can't be run."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the names above
            command, capture_output=True, text=True, timeout=ANSWER_WAIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr


def findings(asked: Ask) -> Iterator[Finding]:
    for tool in TOOLS:
        name, answer = tool.command[0], asked(tool.command)
        version = re.search(r"(\d+)\.\d+(\.\d+)?", answer or "")
        if answer is None:
            yield Finding(name, Status.PROBLEM, "is not on the PATH, or does not answer", tool.fix)
        elif version is None:
            yield Finding(name, Status.UNKNOWN, f"tells no version: {answer.strip()[:60]}", tool.fix)
        elif int(version[1]) < tool.oldest:
            yield Finding(name, Status.PROBLEM, f"{version[0]} is older than {tool.oldest}", tool.fix)
        else:
            yield Finding(name, Status.OK, version[0])
