"""A port under test, with what a suite needs to look behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.ports import Backend, Files, Queue, Store, Topic, Work


class Change(Protocol):
    def __call__(self, job_id: str, **values: object) -> None: ...


@dataclass(frozen=True)
class QueueUnderTest:
    """left: how many messages are neither deleted nor dead."""

    port: Queue
    send: Callable[[str], None]
    left: Callable[[], int]


@dataclass(frozen=True)
class StoreUnderTest:
    """change: what somebody else writes."""

    port: Store
    change: Change


@dataclass(frozen=True)
class TopicUnderTest:
    port: Topic
    arrived: Callable[[], list[tuple[str, dict[str, str]]]]


@dataclass(frozen=True)
class FilesUnderTest:
    """place: makes an object and returns its URL. stored: body and content type of a put key; metadata: the key's."""

    port: Files
    place: Callable[[str, bytes], str]
    stored: Callable[[str], tuple[bytes, str]]
    metadata: Callable[[str], dict[str, str]]


class WorkFor(Protocol):
    def __call__(self, seconds: float = 0.0, *, picture: Path | None = None) -> Work: ...


@dataclass(frozen=True)
class BackendUnderTest:
    """work: makes one picture in about so many seconds, out of `picture` where it is given. broken: it must fail."""

    port: Backend
    work: WorkFor
    broken: Work
