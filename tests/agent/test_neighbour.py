"""HTTP to the runtime, against answers written byte by byte."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from agent.errors import RuntimeLostError
from agent.neighbour import Answer, Form, Neighbour
from local.processes import free_port
from tests.agent.scenario import in_loop

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


class Server:
    """answers: what each request gets. heard: what was asked, whole. connections: how many were made."""

    def __init__(self, *answers: bytes, closes: bool = False) -> None:
        self.answers = list(answers)
        self.heard: list[bytes] = []
        self.connections = 0
        self._closes = closes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((line[16:] for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")), b"0")
                self.heard.append(head + await reader.readexactly(int(length)))
                writer.write(self.answers.pop(0))
                await writer.drain()
                if self._closes:
                    break
        writer.close()


@contextlib.asynccontextmanager
async def neighbour_of(server: Server) -> AsyncIterator[Neighbour]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        neighbour = Neighbour(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/base/")
        yield neighbour
        neighbour.close()


async def asked(neighbour: Neighbour) -> Answer:
    return await neighbour.ask("GET", "/x", timeout_s=5)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK.lower().replace(b"http", b"HTTP") + b"content-length:5\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n",
    ],
)
@in_loop
async def test_an_answer_is_read_whole_and_its_connection_kept(answer: bytes) -> None:
    server = Server(answer, answer)
    async with neighbour_of(server) as neighbour:
        for _ in range(2):
            assert (await asked(neighbour)).body == b"hello"
    assert server.connections == 1


@in_loop
async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async with neighbour_of(Server(OK + b"\r\nhello", closes=True)) as neighbour:
        assert (await asked(neighbour)).body == b"hello"


@in_loop
async def test_a_request_carries_its_path_query_and_document() -> None:
    server = Server(OK + b"Content-Length: 0\r\n\r\n")
    async with neighbour_of(server) as neighbour:
        await neighbour.ask("POST", "/x", query={"name": "a&b c"}, document={"a": "ü"}, timeout_s=5)
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /base/x?name=a%26b+c HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert body == b'{"a": "\\u00fc"}'


@in_loop
async def test_a_file_cannot_end_its_own_part_of_a_form() -> None:
    forms = [Form("image", "a.png", b"--content", {"type": "input"}) for _ in range(2)]
    assert forms[0].content_type != forms[1].content_type, "a fixed boundary could be guessed"
    boundary = forms[0].content_type.partition("boundary=")[2].encode()
    assert b"".join(forms[0].parts).count(b"--" + boundary) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        OK,
        OK + b"Content-Length: 5\r\n\r\nhe",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["nothing", "no HTTP", "half a head", "half a body", "a bad chunk"],
)
@in_loop
async def test_half_an_answer_is_a_lost_runtime(answer: bytes) -> None:
    async with neighbour_of(Server(answer, closes=True)) as neighbour:
        with pytest.raises(RuntimeLostError):
            await asked(neighbour)


@in_loop
async def test_nobody_there_and_nobody_answering_are_lost_runtimes() -> None:
    with pytest.raises(RuntimeLostError):
        await asked(Neighbour(f"http://127.0.0.1:{free_port()}"))
    async with neighbour_of(Server(OK)) as neighbour:
        with pytest.raises(RuntimeLostError):
            await neighbour.ask("GET", "/x", timeout_s=0.05)


@in_loop
async def test_a_connection_that_the_other_side_closed_is_not_used_again() -> None:
    server = Server(*[OK + b"Content-Length: 5\r\n\r\nhello"] * 2, closes=True)
    async with neighbour_of(server) as neighbour:
        for _ in range(2):
            assert (await asked(neighbour)).body == b"hello"
            await asyncio.sleep(0.05)  # for the end of the connection to arrive
    assert server.connections == 2


@in_loop
async def test_a_body_is_handed_on_in_pieces_and_one_that_is_left_costs_only_its_connection() -> None:
    large = OK + b"Content-Length: 1000000\r\n\r\n" + bytes(1_000_000)
    server = Server(large, OK + b"Content-Length: 5\r\n\r\nhello")
    async with neighbour_of(server) as neighbour:
        async with neighbour.read("/x", {}, 5) as answer, contextlib.aclosing(answer.chunks()) as chunks:
            assert 0 < len(await anext(chunks)) <= 256 * 1024
        assert (await asked(neighbour)).body == b"hello"
    assert server.connections == 2
