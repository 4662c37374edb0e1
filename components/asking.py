"""What code that asks AWS and waits for it is given, so that a test can give something else. No pulumi, no boto3."""

import time
from collections.abc import Callable
from typing import Any, Protocol

Clients = Callable[[str], Any]  # a boto3 client of a service, in the stack's region


class Clock(Protocol):
    """Seconds that only go forward, and waiting for them."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
