"""Every call of AWS, counted where the SDK itself tells of it, so that no edge has to."""

import time
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

Called = Callable[[str, str, str, float], None]

_BEGAN = "sd_async_began_s"


def watch_calls(clients: Iterable[Any], called: Called, now_s: Callable[[], float] = time.monotonic) -> None:
    """clients: of boto3. called: gets service, operation, AWS's code of an error or none, seconds; in any thread."""

    def began(context: MutableMapping[str, Any], **_: object) -> None:
        context[_BEGAN] = now_s()

    def answered(event_name: str, context: MutableMapping[str, Any], parsed: dict[str, Any], **_: object) -> None:
        tell(event_name, context, str(parsed.get("Error", {}).get("Code", "")))

    def failed(event_name: str, context: MutableMapping[str, Any], exception: Exception, **_: object) -> None:
        tell(event_name, context, type(exception).__name__)

    def tell(event_name: str, context: MutableMapping[str, Any], code: str) -> None:
        _, service, operation = event_name.split(".")
        called(service, operation, code, now_s() - context.get(_BEGAN, now_s()))

    for client in clients:
        client.meta.events.register("before-call", began)
        client.meta.events.register("after-call", answered)
        client.meta.events.register("after-call-error", failed)
