"""Progress of one prompt, from the messages of ComfyUI's socket. They are hints: the history decides."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from agent.edges.comfyui.socket import Message, may_have_ended
from agent.ports import Report
from sd_async.contract.jobs import Progress

_LONGEST_QUIET_S = 0.25  # a person does not notice it
_QUIET_SHARE = 0.75  # of the time until the node's end; steps of one node differ by a few per cent
_LAST_STEP = 0.5  # Heun's method, and others of its order, evaluate the model twice a step, but once in the last


class Tracker:
    """Follows one prompt; `report` gets a new Progress with the last of the messages that came together.

    now_s: monotonic seconds.
    """

    def __init__(
        self, graph: Mapping[str, Any], report: Report, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._classes = {node_id: node.get("class_type") for node_id, node in graph.items()}
        self._report = report
        self._now_s = now_s
        self._is_changed = False
        self._first_step: tuple[str | None, int, float] = (None, 0, 0.0)
        self._per_step_s = 0.0  # of the node that runs, 0 while nothing says so
        self._done: set[str] = set()
        self._current: str | None = None
        self._step, self._steps = 0, 0
        self._value = 0.0
        self._has_state = False

    def take(self, message: Message) -> bool:
        """Whether the history should be asked now. Never raises: any message may come."""
        data = message.data
        match message.type:
            case "execution_start":
                self._is_changed = True
            case "execution_cached":
                self._cached(data)
            case "executing":
                self._executing(data)
            case "progress" if not self._has_state:  # newer versions tell each step both ways
                self._progress(data)
            case "progress_state":
                self._has_state = True
                self._progress_state(data)
        return may_have_ended(message)

    def _cached(self, data: dict[str, Any]) -> None:
        nodes = data.get("nodes")
        if isinstance(nodes, list):
            self._done |= {node for node in nodes if isinstance(node, str) and node in self._classes}
            self._is_changed = True

    def _executing(self, data: dict[str, Any]) -> None:
        node = data.get("node")
        if not isinstance(node, str):
            return
        if self._current not in {None, node}:
            self._done.add(str(self._current))
        self._current, self._step, self._steps = node, 0, 0
        self._is_changed = True

    def _progress(self, data: dict[str, Any]) -> None:
        self._step, self._steps = _whole(data.get("value")), _whole(data.get("max"))
        self._is_changed = True

    def _progress_state(self, data: dict[str, Any]) -> None:
        nodes = data.get("nodes")
        for node_id, state in nodes.items() if isinstance(nodes, dict) else ():
            if not isinstance(state, dict):
                continue
            if state.get("state") == "finished":
                self._done.add(node_id)
            elif state.get("state") == "running":
                self._current = node_id
                self._step, self._steps = _whole(state.get("value")), _whole(state.get("max"))
        self._is_changed = True

    @property
    def quiet_s(self) -> float:
        """Most of the time that a node's steps still take: until then only steps are expected, and no end."""
        left = max(self._steps - self._step - 1 + _LAST_STEP, 0)
        return min(left * self._per_step_s * _QUIET_SHARE, _LONGEST_QUIET_S)

    def tell(self) -> None:
        if not self._is_changed:
            return
        self._is_changed = False
        self._measure()
        total = max(len(self._classes), 1)
        done = len(self._done & self._classes.keys())
        part = min(self._step / self._steps, 1.0) if self._steps > 0 and self._current not in self._done else 0.0
        # It never goes back, though a node made anew by another (expansion) has its own count.
        self._value = max(self._value, min((done + part) / total, 1.0))
        self._report(
            Progress(
                value=round(self._value, 4),
                nodes_done=done,
                nodes_total=total,
                current_node=self._current,
                current_node_class=self._classes.get(self._current) if self._current else None,
                step=self._step,
                steps=self._steps,
            )
        )

    def _measure(self) -> None:
        node, first, first_s = self._first_step
        done, now_s = self._step - first, self._now_s()
        if node != self._current or done < 0:
            self._first_step, self._per_step_s = (self._current, self._step, now_s), 0.0
        elif done > 0:
            self._per_step_s = (now_s - first_s) / done


def _whole(value: Any) -> int:
    """Counts arrive as numbers of either kind; anything else, NaN too, counts for nothing."""
    return max(int(value), 0) if isinstance(value, int | float) and abs(value) < 1e15 else 0
