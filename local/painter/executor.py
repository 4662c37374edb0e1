"""Runs prompts one after the other, node by node, in a thread of its own."""

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from local.painter.folders import Folders
from local.painter.graph import Graph, link_of, run_order, signatures
from local.painter.nodes.spec import NodeClass
from local.painter.progress import Channel, Reporter
from local.painter.queue import Item, PromptQueue
from local.painter.settings import PainterSettings
from local.painter.work import Interrupt, InterruptedRunError, Result, Work

_log = logging.getLogger(__name__)


class Executor:
    """current: reporter and node of whatever runs, for clients that connect in the middle."""

    def __init__(
        self, *, classes: Mapping[str, NodeClass], folders: Folders, settings: PainterSettings, channel: Channel
    ) -> None:
        self._classes = classes
        self._folders = folders
        self._settings = settings
        self._channel = channel
        self._cache: dict[str, Result] = {}
        self.interrupt = Interrupt()
        self.current: tuple[str | None, str] | None = None

    def serve(self, queue: PromptQueue) -> None:
        """Until the queue is closed. A node that raises SystemExit ends it and leaves its prompt running for ever."""
        while not queue.is_closed:
            taken = queue.take(None)
            if queue.take_free_request():
                self._cache.clear()
            if taken is None:
                continue
            ticket, item = taken
            reporter = self._reporter(item)
            entry = self.run(item, reporter)
            self.current = None
            queue.done(ticket, entry)
            reporter.closed()

    def _reporter(self, item: Item) -> Reporter:
        client_id = item[3].get("client_id")
        return Reporter(channel=self._channel, prompt_id=item[1], client_id=client_id)

    def run(self, item: Item, reporter: Reporter) -> dict[str, Any]:
        """The history entry of one prompt, without `prompt`."""
        self.interrupt.clear()
        _, _, graph, extra_data, outputs = item
        run = _Run(self, graph, extra_data, outputs, reporter)
        is_success = run.execute()
        _log.info("prompt %s: %s", reporter.prompt_id, reporter.messages[-1][0])
        return {
            "outputs": run.shown,
            "status": {
                "status_str": "success" if is_success else "error",
                "completed": is_success,
                "messages": reporter.messages,
            },
            "meta": {
                node_id: {"node_id": node_id, "display_node": node_id, "parent_node": None, "real_node_id": node_id}
                for node_id in run.shown
            },
        }

    def cached_for(self, wanted: set[str]) -> dict[str, Result]:
        """Results of this prompt's nodes; the cache holds what the previous prompt used and forgets the rest."""
        self._cache = {signature: result for signature, result in self._cache.items() if signature in wanted}
        return self._cache

    def signatures(self, graph: Graph, order: list[str]) -> dict[str, str]:
        return signatures(graph, order, self._fingerprint)

    def _fingerprint(self, node: dict[str, Any]) -> str:
        is_changed = self._classes[node["class_type"]].is_changed
        return is_changed(self._folders, node["inputs"]) if is_changed else ""

    def call(self, work: Work, class_type: str, inputs: dict[str, Any]) -> Result:
        self.interrupt.check()
        return self._classes[class_type].function(work, **inputs)

    def known_inputs(self, class_type: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Without those that the class does not know; they are accepted and count for the cache, and no more."""
        return {entry.name: inputs[entry.name] for entry in self._classes[class_type].inputs if entry.name in inputs}

    def work_for(self, node_id: str, graph: Graph, extra_data: dict[str, Any], reporter: Reporter) -> Work:
        return Work(
            node_id=node_id,
            prompt=graph,
            extra_data=extra_data,
            folders=self._folders,
            settings=self._settings,
            interrupt=self.interrupt,
            progress=lambda value, maximum, preview: reporter.progress(node_id, value, maximum, preview),
            deliver=lambda picture, value, maximum: self._deliver(reporter, node_id, picture, (value, maximum)),
        )

    def _deliver(self, reporter: Reporter, node_id: str, picture: Any, place: tuple[float, float]) -> None:
        reporter.progress(node_id, *place, None)
        self._channel.send_result(picture, {"node_id": node_id, "prompt_id": reporter.prompt_id}, reporter.client_id)


class _Run:
    def __init__(
        self, executor: Executor, graph: Graph, extra_data: dict[str, Any], outputs: list[str], reporter: Reporter
    ) -> None:
        self._executor = executor
        self._graph = graph
        self._extra_data = extra_data
        self._reporter = reporter
        self._outputs = outputs
        self._order = run_order(graph, outputs)
        self._results: dict[str, Result] = {}
        self._executed: list[str] = []
        self.shown: dict[str, dict[str, list[Any]]] = {}

    def execute(self) -> bool:
        """True when every node ran to its end."""
        self._reporter.record("execution_start", {})
        names = self._executor.signatures(self._graph, self._order)
        cache = self._executor.cached_for(set(names.values()))
        cached = [node_id for node_id in self._order if names[node_id] in cache]
        self._reporter.record("execution_cached", {"nodes": cached})
        for node_id in self._order:
            if names[node_id] in cache:  # also the twin of a node that ran a moment ago
                self._reuse(node_id, cache[names[node_id]])
                continue
            result = self._run_node(node_id)
            if result is None:
                return False
            cache[names[node_id]] = result
        self._reporter.record("execution_success", {})
        return True

    def _reuse(self, node_id: str, result: Result) -> None:
        self._results[node_id] = result
        if node_id in self._outputs:
            self._show(node_id, result)
            self._reporter.finished(node_id)

    def _show(self, node_id: str, result: Result) -> None:
        if result.ui:
            self.shown[node_id] = result.ui
            self._reporter.executed(node_id, result.ui)

    def _run_node(self, node_id: str) -> Result | None:
        class_type = self._graph[node_id]["class_type"]
        self._executor.current = (self._reporter.client_id, node_id)
        self._reporter.executing(node_id)
        inputs: dict[str, Any] = {}
        try:
            inputs |= self._resolved(node_id)
            work = self._executor.work_for(node_id, self._graph, self._extra_data, self._reporter)
            result = self._executor.call(work, class_type, inputs)
        except InterruptedRunError:
            at = {"node_id": node_id, "node_type": class_type, "executed": self._executed}
            self._reporter.record("execution_interrupted", at, is_broadcast=True)
            return None
        except Exception as error:  # noqa: BLE001 # a node may raise anything; the client is told, the server goes on
            self._reporter.record("execution_error", self._failure(node_id, inputs, error))
            return None
        self._results[node_id] = result
        self._executed.append(node_id)
        self._show(node_id, result)
        self._reporter.finished(node_id)
        return result

    def _resolved(self, node_id: str) -> dict[str, Any]:
        node = self._graph[node_id]
        inputs = self._executor.known_inputs(node["class_type"], node["inputs"])
        return {name: self._value(value) for name, value in inputs.items()}

    def _value(self, value: Any) -> Any:
        link = link_of(value)
        return self._results[link[0]].values[link[1]] if link else value

    def _failure(self, node_id: str, inputs: dict[str, Any], error: Exception) -> dict[str, Any]:
        kind = type(error)
        place = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        return {
            "node_id": node_id,
            "node_type": self._graph[node_id]["class_type"],
            "executed": self._executed,
            "exception_message": str(error),
            "exception_type": f"{place}{kind.__qualname__}",
            "traceback": traceback.format_tb(error.__traceback__),
            "current_inputs": {name: [_shown(value)] for name, value in inputs.items()},
            "current_outputs": list(self._results),
        }


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str) else str(value)
