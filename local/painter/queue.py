"""Waiting and running prompts, and the history of ended ones. Kept in memory only, as ComfyUI keeps them."""

import heapq
import threading
from collections.abc import Callable
from typing import Any

# ComfyUI forgets the oldest entry beyond this many.
MAX_HISTORY = 10_000

Item = tuple[float, str, dict[str, Any], dict[str, Any], list[str]]  # number, id, graph, extra_data, output node ids


class PromptQueue:
    """Safe to use from the server and the worker thread. on_change: told after whatever changes `remaining`."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._changed = threading.Condition(threading.RLock())
        self._pending: list[Item] = []
        self._running: dict[int, Item] = {}
        self._taken = 0
        self._history: dict[str, dict[str, Any]] = {}
        self._has_free_request = False
        self._is_closed = False

    def put(self, item: Item) -> None:
        """Raises: TypeError, when a waiting item has the same number and id; like ComfyUI it is queued all the same."""
        with self._changed:
            heapq.heappush(self._pending, item)
            self._changed.notify()
        self._on_change()

    def take(self, timeout_s: float | None) -> tuple[int, Item] | None:
        """A ticket and the item with the lowest number, None when there is none within the time, or no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._has_free_request or self._is_closed, timeout_s)
            if self._is_closed or not self._pending:
                return None
            item = heapq.heappop(self._pending)
            self._taken += 1
            self._running[self._taken] = item
            ticket = self._taken
        self._on_change()
        return ticket, item

    def done(self, ticket: int, entry: dict[str, Any]) -> None:
        """The prompt has ended; `entry` is its history without `prompt`."""
        with self._changed:
            item = self._running.pop(ticket)
            if len(self._history) >= MAX_HISTORY:
                del self._history[next(iter(self._history))]
            self._history[item[1]] = {"prompt": list(item), **entry}
        self._on_change()

    def remaining(self) -> int:
        """Running and waiting prompts together."""
        with self._changed:
            return len(self._running) + len(self._pending)

    def snapshot(self) -> dict[str, list[Item]]:
        with self._changed:
            return {"queue_running": list(self._running.values()), "queue_pending": list(self._pending)}

    def is_running(self, prompt_id: str) -> bool:
        with self._changed:
            return any(item[1] == prompt_id for item in self._running.values())

    def delete(self, prompt_id: str) -> None:
        """One waiting item of that id; never the running one, and nothing for an unknown id."""
        with self._changed:
            found = next((place for place, item in enumerate(self._pending) if item[1] == prompt_id), None)
            if found is None:
                return
            del self._pending[found]
            heapq.heapify(self._pending)
        self._on_change()

    def clear(self) -> None:
        with self._changed:
            self._pending.clear()
        self._on_change()

    def request_free(self) -> None:
        """Cached results are dropped before the next prompt, or now when nothing runs."""
        with self._changed:
            self._has_free_request = True
            self._changed.notify()

    def close(self) -> None:
        """Nothing is taken any more; whoever waits for an item is told so."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        with self._changed:
            return self._is_closed

    def take_free_request(self) -> bool:
        with self._changed:
            requested, self._has_free_request = self._has_free_request, False
            return requested

    def history_of(self, prompt_id: str) -> dict[str, Any]:
        """`{id: entry}`, or `{}` when unknown, waiting or running."""
        with self._changed:
            entry = self._history.get(prompt_id)
            return {} if entry is None else {prompt_id: entry}

    def history(self, max_items: int | None, offset: int) -> dict[str, Any]:
        """Entries, oldest first, from `offset`; a negative offset with `max_items` means the newest."""
        with self._changed:
            start = len(self._history) - max_items if offset < 0 and max_items is not None else offset
            chosen = list(self._history.items())[max(start, 0) :]
            return dict(chosen if max_items is None else chosen[:max_items])

    def delete_history(self, prompt_id: str) -> None:
        with self._changed:
            self._history.pop(prompt_id, None)

    def clear_history(self) -> None:
        with self._changed:
            self._history.clear()
