"""What a check before `pulumi up` found, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


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
