"""What a check before `pulumi up` found, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Clients = Callable[[str], Any]  # a boto3 client of a service, in the stack's region


class Status(StrEnum):
    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """fix: what to do; empty where nothing is to be done."""

    check: str
    status: Status
    found: str
    fix: str = ""
