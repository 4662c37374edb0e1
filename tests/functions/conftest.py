"""The API over a store in memory."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from functions.api.service import Service
from sd_async.contract.messages import JobMessage, decode_message
from sd_async.contract.records import Record, from_item
from tests.functions.entry import Api
from tests.functions.fakes import ENV, NOW_MS, MemoryStore, event_of


@dataclass
class Answered:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])


@dataclass
class Caller:
    """Asks the API as a client would, without a network."""

    store: MemoryStore = field(default_factory=MemoryStore)
    is_emulated: bool = False
    now_ms: int = NOW_MS
    ids: int = 0

    def __post_init__(self) -> None:
        service = Service(self.store, ENV, now_ms=lambda: self.now_ms, new_id=self.new_id)
        self.api = Api(service, is_emulated=self.is_emulated)

    def new_id(self) -> str:
        self.ids += 1
        return f"00000000-0000-4000-8000-{self.ids:012x}"

    def send(self, event: dict[str, Any]) -> Answered:
        answer = self.api(event)
        assert isinstance(answer["body"], str)
        return Answered(answer["statusCode"], msgspec.json.decode(answer["body"]), answer["headers"])

    def post(self, body: Any, resource: str = "/v1/jobs", **options: Any) -> Answered:
        return self.send(event_of("POST", resource, body, **options))

    def get(self, job_id: str, **options: Any) -> Answered:
        return self.send(event_of("GET", "/v1/jobs/{id}", params={"id": job_id}, **options))


def only_message(caller: Caller) -> JobMessage:
    [(_, body)] = caller.store.published
    message = decode_message(body)
    assert isinstance(message, JobMessage)
    return message


def only_record(caller: Caller) -> Record:
    [item] = caller.store.items.values()
    return from_item(item)


@pytest.fixture
def caller() -> Caller:
    return Caller()
