"""The item of a runtime's agents as it lies in DynamoDB, beside the jobs."""

import asyncio
import time
import uuid
from typing import Any

import pytest

from agent.aws import Clients
from agent.edges.dynamodb import DynamoStore
from sd_async.contract.agents import KEEP_S, AgentNote, AgentState, agents_key
from sd_async.contract.errors import ContractError
from sd_async.contract.states import Status
from tests.agent.comfyui_server import Script, comfyui
from tests.agent.scenario import in_loop
from tests.agent.test_process import lines, process, started

KEY = {"id": {"S": agents_key("comfy")}}
READY = AgentNote(state=AgentState.READY, since_ms=1, until_ms=90_000)


def item(clients: Clients, table: str) -> Any:
    return clients.dynamodb.get_item(TableName=table, Key=KEY, ConsistentRead=True).get("Item")


@in_loop
async def test_it_has_an_end_and_no_attribute_of_a_job(clients: Clients, table: str) -> None:
    store = DynamoStore(clients.dynamodb, table)
    await store.tell("comfy", "comfy-0", READY)
    assert item(clients, table) == {
        **KEY,
        "expires_at_s": {"N": str(90 + KEEP_S)},
        "agent/comfy-0": {"M": {"state": {"S": "ready"}, "since_ms": {"N": "1"}, "until_ms": {"N": "90000"}}},
    }
    await store.leave("comfy", "comfy-0")
    assert set(item(clients, table)) == {"id", "expires_at_s"}


@in_loop
async def test_whoever_leaves_makes_none_that_would_have_no_end(clients: Clients, table: str) -> None:
    await DynamoStore(clients.dynamodb, table).leave("comfy", "comfy-0")
    assert item(clients, table) is None


@in_loop
async def test_a_message_that_names_it_as_its_job_claims_nothing(clients: Clients, table: str) -> None:
    store = DynamoStore(clients.dynamodb, table)
    await store.tell("comfy", "comfy-0", READY)
    before = item(clients, table)
    with pytest.raises(ContractError):
        await store.claim(agents_key("comfy"), Status.QUEUED, agent="x", message_id="m", now_ms=1, lease_until_ms=2)
    assert item(clients, table) == before


@in_loop
async def test_a_whole_agent_tells_of_itself_and_takes_it_back_on_sigterm(
    clients: Clients, environment: dict[str, str], table: str
) -> None:
    environment = environment | {"SD_AGENT_ID": f"comfy-{uuid.uuid4()}"}
    store = DynamoStore(clients.dynamodb, table)

    async def told() -> dict[str, AgentNote]:
        answer = await store.tell("comfy", "test", READY)
        return {agent: note for agent, note in answer.items() if agent != "test"}

    async def heard() -> dict[str, AgentNote]:
        while True:
            if notes := await told():
                return notes
            await asyncio.sleep(0.05)

    async with comfyui(Script()) as url, process(environment | {"SD_RUNTIME_URL": url}) as agent:
        await started(agent)
        notes = await heard()
        agent.terminate()
        began_s = time.monotonic()
        await lines(agent)
        took_s = time.monotonic() - began_s
    [(name, note)] = notes.items()
    assert (name, note.state) == (environment["SD_AGENT_ID"], AgentState.READY)
    assert abs(note.until_ms - 150_000 - time.time_ns() // 10**6) < 20_000
    assert (agent.returncode, await told()) == (0, {})
    assert took_s < 2, "a busy machine's second; the bench measures it"
