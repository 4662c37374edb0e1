"""The kubelet's questions, and Prometheus's."""

import asyncio
import contextlib
import re
from pathlib import Path

import httpx
import pytest

from agent import health
from agent.errors import ConfigError
from agent.health import MEANINGS, State
from agent.telemetry.metrics import STATES
from tests.agent.scenario import in_loop

OPERATIONS = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")


def always(state: State) -> health.Ask:
    async def ask() -> State:
        return state

    return ask


yes = always(State.READY)


@pytest.mark.parametrize("state", State)
def test_each_state_is_told_by_name_and_only_one_is_ready(state: State) -> None:
    @in_loop
    async def run() -> None:
        async with health.serving("127.0.0.1", 0, always(state)) as port, httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/readyz?verbose")
            assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200, "whatever the runtime does"
        assert answer.json() == {"state": state.value, "meaning": MEANINGS[state]}
        assert (answer.status_code == 200) == (state is State.READY)
        assert answer.headers["Content-Type"] == "application/json"

    run()


def test_every_state_has_a_meaning_and_its_place_among_the_metrics() -> None:
    assert set(MEANINGS) == set(State)
    assert set(STATES) == {state.value for state in State}


def test_the_table_for_operators_has_every_state() -> None:
    table = OPERATIONS.split("| state | what it means |\n")[1].split("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == sorted(State)


@in_loop
async def test_anything_else_is_told_no() -> None:
    async with health.serving("127.0.0.1", 0, yes) as port, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/metrics")).status_code == 404, "nothing is to be scraped"
        assert (await client.post(f"http://127.0.0.1:{port}/livez")).status_code == 405


@in_loop
async def test_a_scrape_gets_the_page_with_its_type() -> None:
    async def page() -> tuple[bytes, str]:
        return b"up 1\n", "text/plain; version=0.0.4"

    async with health.serving("127.0.0.1", 0, yes, page) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert (answer.status_code, answer.content) == (200, b"up 1\n")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"


@pytest.mark.parametrize("words", [b"", b"\r\n\r\n", b"GET", b"x" * 100_000, b"GET /livez\r\n\r\n"])
@in_loop
async def test_no_words_of_a_client_end_it(words: bytes) -> None:
    async with health.serving("127.0.0.1", 0, yes) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(words)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):  # it may hang up before all is read
            await reader.read()
        writer.close()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200


@in_loop
async def test_a_port_that_is_taken_is_told_by_the_variables_name() -> None:
    async with health.serving("127.0.0.1", 0, yes) as port:
        with pytest.raises(ConfigError, match=f"SD_HEALTH_PORT is {port} and SD_POD_IP is"):
            async with health.serving("127.0.0.1", port, yes):
                raise AssertionError("it listens twice")
