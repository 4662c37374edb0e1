"""Progress of the one job that runs, from what polling tells."""

import math
from typing import Any

from agent.ports import LOADING, Report
from sd_async.contract.jobs import Progress


class Watch:
    """loads: whether a model has to be read first; until it is, that is all there is to tell.

    was_interrupted: somebody stopped the job, of which its answer says nothing.
    """

    def __init__(self, report: Report, *, loads: bool) -> None:
        self._report = report
        self._is_loading = loads
        self._value = 0.0
        self.was_interrupted = False

    def begin(self) -> None:
        self._tell(0, 0)

    def take(self, document: Any) -> None:
        """One answer of `/progress`. Never raises: any JSON may come."""
        answer = document if isinstance(document, dict) else {}
        state = answer.get("state")
        state = state if isinstance(state, dict) else {}
        self.was_interrupted |= state.get("interrupted") is True
        # -1 from its beginning until it has its model, then the number of batches; 0 when it has not begun.
        if _number(state.get("job_count")) > 0:
            self._is_loading = False
        self._value = max(self._value, min(_number(answer.get("progress")), 1.0))
        self._tell(int(_number(state.get("sampling_step"))), int(_number(state.get("sampling_steps"))))

    def _tell(self, step: int, steps: int) -> None:
        message = LOADING if self._is_loading else ""
        self._report(Progress(value=round(self._value, 4), step=step, steps=steps, message=message))


def has_job(document: Any) -> bool:
    """Whether one runs, by an answer of `/progress`; one that waits for its turn or its checkpoint does not count."""
    state = document.get("state") if isinstance(document, dict) else None
    return isinstance(state, dict) and bool(state.get("job_count"))


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return max(float(value), 0.0) if is_number and abs(value) < 1e15 and not math.isnan(value) else 0.0
