"""The one job that runs, as `progress` tells of it and `interrupt` ends it."""

import threading
import time
from typing import Any


class State:
    """Written by the thread that paints, read by the server."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self.is_interrupted = False
        self.job = ""
        self.job_count = 0
        self.job_no = 0
        self.step = 0
        self.steps = 0
        self._began_s = 0.0

    def begin(self, job: str) -> None:
        """Forgets an interrupt that came before."""
        self._stop.clear()
        self.is_interrupted = False
        self.job, self.job_count, self.job_no, self.step, self.steps = job, -1, 0, 0, 0
        self._began_s = time.monotonic()

    def end(self) -> None:
        self.job, self.job_count = "", 0

    def interrupt(self) -> None:
        self.is_interrupted = True
        self._stop.set()

    def pause(self, seconds: float) -> bool:
        """False as soon as somebody interrupts."""
        return not self._stop.wait(seconds)

    def told(self) -> dict[str, Any]:
        state = {
            "skipped": False,
            "interrupted": self.is_interrupted,
            "stopping_generation": False,
            "job": self.job,
            "job_count": self.job_count,
            "job_timestamp": "0",
            "job_no": self.job_no,
            "sampling_step": self.step,
            "sampling_steps": self.steps,
        }
        value = self._value()
        eta_s = (time.monotonic() - self._began_s) * (1 / value - 1) if value else 0
        return {"progress": value, "eta_relative": eta_s, "state": state, "current_image": None, "textinfo": None}

    def _value(self) -> float:
        """0 when idle, 0.01 from a job's beginning until it samples."""
        if self.job_count == 0:
            return 0.0
        if self.job_count < 0 or not self.steps:
            return 0.01
        return min(1.0, 0.01 + (self.job_no + self.step / self.steps) / self.job_count)
