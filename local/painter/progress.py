"""What one prompt tells the world: messages to its client, and the list that its history keeps."""

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.painter.values import Pixels


class Channel(Protocol):
    """Where messages go; safe to use from the worker thread. to: a client's id, None for everybody."""

    def send(self, kind: str, data: dict[str, Any], to: str | None) -> None: ...

    def send_preview(self, picture: Pixels, data: dict[str, Any], to: str | None) -> None: ...

    def send_result(self, picture: Pixels, data: dict[str, Any], to: str | None) -> None: ...


@dataclass(slots=True, kw_only=True)
class Reporter:
    """client_id: None where the prompt has none; then only what ComfyUI broadcasts is sent."""

    channel: Channel
    prompt_id: str
    client_id: str | None
    messages: list[list[Any]] = field(default_factory=list)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)

    def record(self, kind: str, data: dict[str, Any], *, is_broadcast: bool = False) -> None:
        """A message that the history keeps too."""
        whole = {**data, "prompt_id": self.prompt_id, "timestamp": time.time_ns() // 1_000_000}
        self.messages.append([kind, whole])
        if self.client_id is not None or is_broadcast:
            self.channel.send(kind, whole, self.client_id)

    def executing(self, node_id: str) -> None:
        self._state(node_id, 0, 1, "running")
        if self.client_id is not None:
            data = {"node": node_id, "display_node": node_id, "prompt_id": self.prompt_id}
            self.channel.send("executing", data, self.client_id)

    def progress(self, node_id: str, value: float, maximum: float, preview: Pixels | None) -> None:
        self._state(node_id, value, maximum, "running")
        data = {"value": value, "max": maximum, "prompt_id": self.prompt_id, "node": node_id}
        self.channel.send("progress", data, self.client_id)
        if preview is not None:
            names = ("display_node_id", "parent_node_id", "real_node_id")
            meta = {name: self.states[node_id][name] for name in ("node_id", "prompt_id", *names)}
            self.channel.send_preview(preview, meta, self.client_id)

    def executed(self, node_id: str, output: dict[str, list[Any]]) -> None:
        if self.client_id is not None:
            data = {"node": node_id, "display_node": node_id, "output": output, "prompt_id": self.prompt_id}
            self.channel.send("executed", data, self.client_id)

    def finished(self, node_id: str) -> None:
        maximum = self.states.get(node_id, {"max": 1})["max"]
        self._state(node_id, maximum, maximum, "finished")

    def closed(self) -> None:
        """The very last message of a prompt, after its history is there."""
        if self.client_id is not None:
            self.channel.send("executing", {"node": None, "prompt_id": self.prompt_id}, self.client_id)

    def _state(self, node_id: str, value: float, maximum: float, state: str) -> None:
        self.states[node_id] = {
            "value": value,
            "max": maximum,
            "state": state,
            "node_id": node_id,
            "prompt_id": self.prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }
        data = {"prompt_id": self.prompt_id, "nodes": {name: dict(entry) for name, entry in self.states.items()}}
        self.channel.send("progress_state", data, self.client_id)
