"""Before `pulumi destroy`: take no more jobs, and wait until those that were taken are done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components import naming
from components.asking import Clients, Clock
from components.settings import Settings
from ops.errors import OpsError

POLL_S = 10.0
# SQS counts approximately and up to a minute late (SQS developer guide, GetQueueAttributes): once empty is not empty.
EMPTY_POLLS = 6


@dataclass(frozen=True)
class Count:
    """Jobs of one runtime, as SQS counts them."""

    waiting: int
    running: int


class Drain:
    """One stack's intake and queues. Raises: OpsError, when AWS does not do as told."""

    def __init__(self, settings: Settings, clients: Clients, clock: Clock) -> None:
        self._settings, self._clients, self._clock = settings, clients, clock
        self._function = naming.prefixed(settings, "api")

    def close(self) -> None:
        """The API's function is started no more; its clients get an answer of API Gateway's, and no job is lost."""
        self._ask("lambda", "put_function_concurrency", FunctionName=self._function, ReservedConcurrentExecutions=0)

    def open(self) -> None:
        self._ask("lambda", "delete_function_concurrency", FunctionName=self._function)

    def wait(self, timeout_s: float, tell: Callable[[Mapping[str, Count]], None]) -> bool:
        """Whether all queues stayed empty before the time was up. tell: hears the counts by runtime, at each poll."""
        deadline, empty = self._clock.now() + timeout_s, 0
        while True:
            counts = {runtime.name: self._count(runtime.name) for runtime in self._settings.runtimes}
            tell(counts)
            empty = 0 if any(count.waiting or count.running for count in counts.values()) else empty + 1
            if empty >= EMPTY_POLLS:
                return True
            if self._clock.now() + POLL_S > deadline:
                return False
            self._clock.sleep(POLL_S)

    def _count(self, runtime: str) -> Count:
        url = self._ask("sqs", "get_queue_url", QueueName=naming.queue(self._settings, runtime))["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._ask("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=names)["Attributes"]
        return Count(int(found[names[0]]), int(found[names[1]]))

    def _ask(self, service: str, call: str, **given: Any) -> Any:
        try:
            return getattr(self._clients(service), call)(**given)
        except (ClientError, BotoCoreError) as error:
            raise OpsError(f"{naming.prefixed(self._settings)} can't be drained: {error}") from error
