"""One WebSocket for all prompts of this process; what it says is handed to whoever follows the prompt."""

import asyncio
import contextlib
import socket as sockets
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from agent.errors import RuntimeLostError
from agent.neighbour import Neighbour

_OPEN_TIMEOUT_S = 10.0
_MAX_FRAME_BYTES = 4 * 1024 * 1024  # previews are about 65 kB; a larger frame ends the socket, not the job
MAX_PICTURE_BYTES = 32 * 1024 * 1024  # while a whole picture may come: one of 3840x2160 is 25 MB at the very most
_HELLO = b'{"type":"feature_flags","data":{"supports_preview_metadata":true}}'  # has to be the first frame
_ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})
_OF_MESSAGES = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_READ_BYTES = 256 * 1024


Show = Callable[[bytes | None], None]


class Message(msgspec.Struct):
    type: str
    data: dict[str, Any] = {}


def may_have_ended(message: Message) -> bool:
    """Whether its prompt may have ended with it."""
    is_last = message.type == "executing" and not isinstance(message.data.get("node"), str)
    return is_last or message.type in _ENDS


class Follower(Protocol):
    """Whoever wants to know what is said about one prompt. None of it raises: any message may come."""

    def take(self, message: Message) -> bool:
        """Whether the prompt may have ended with it."""

    def tell(self) -> None:
        """All that has arrived is taken; more will take a while."""

    @property
    def quiet_s(self) -> float:
        """Seconds for which nothing that matters is expected, so that the next messages may be read together."""


class Following:
    """One prompt's share of the socket. heard: set whenever the runtime should be asked about it.

    client_id: of the connection that the prompt's messages go to; without a connection nobody's, as what is sent
    without an id goes in part to everybody. show: gets the binary frames, None for one that was too large.
    """

    def __init__(self, client_id: str, follower: Follower, show: Show | None) -> None:
        self.client_id = client_id
        self.heard = asyncio.Event()
        self.follower = follower
        self.show = show


class Socket:
    """Opened at the first prompt, and anew under another id when it was lost, as two with one id go deaf.

    A prompt's own messages go to the id under which it was sent, and are not repeated; to one that was sent under an
    earlier id, what goes to everybody still hints that the queue has changed.
    """

    def __init__(self, neighbour: Neighbour, reconnect_s: float) -> None:
        self._neighbour = neighbour
        self._reconnect_s = reconnect_s
        self._followings: dict[str, Following] = {}
        self._parts: list[Frame] = []
        self._told_of: set[Following] = set()
        self._protocol: ClientProtocol | None = None
        self._tried = asyncio.Event()
        self._there = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self.client_id: str | None = None

    async def opened(self) -> None:
        """Once it is open, or could not be opened at the first try."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        await self._tried.wait()

    async def there(self) -> None:
        """Once it is open, however long that takes."""
        await self._there.wait()

    @contextlib.contextmanager
    def following(self, run_id: str, follower: Follower, show: Show | None = None) -> Iterator[Following]:
        """follower: gets each message about the prompt.

        show: gets each picture, whichever prompt's it is; without it none as large as a result is taken.
        """
        following = self._followings[run_id] = Following(self.client_id or uuid.uuid4().hex, follower, show)
        self._limit()
        try:
            yield following
        finally:
            self._followings = {name: other for name, other in self._followings.items() if other is not following}
            self._limit()

    def follow_also(self, prompt_id: str, following: Following) -> None:
        """Under the id that the runtime gave the prompt, where that is another."""
        self._followings[prompt_id] = following

    def hears(self, following: Following) -> bool:
        """Whether the prompt's end will be told."""
        return self.client_id is not None and following.client_id == self.client_id

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    async def _listen(self) -> None:
        while True:
            # What goes wrong with it shows in the runtime's answers, which decide.
            with contextlib.suppress(OSError, WebSocketException, RuntimeLostError):
                await self._connection(uuid.uuid4().hex)
            self.client_id = None
            self._there.clear()
            self._tried.set()
            for following in self._followings.values():
                following.heard.set()
            await asyncio.sleep(self._reconnect_s)

    async def _connection(self, client_id: str) -> None:
        neighbour = self._neighbour
        uri = parse_uri(f"ws://{neighbour.host}:{neighbour.port}{neighbour.path}/ws?clientId={client_id}")
        self._parts.clear()
        self._protocol = protocol = ClientProtocol(uri, max_size=_MAX_FRAME_BYTES)
        self._limit()
        with contextlib.closing(await neighbour.connected()) as connection:
            protocol.send_request(protocol.connect())
            async with asyncio.timeout(_OPEN_TIMEOUT_S):
                while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
                    await self._turn(protocol, connection)
            if protocol.state is not State.OPEN:
                return
            protocol.send_text(_HELLO)
            self.client_id = client_id
            self._tried.set()
            self._there.set()
            while protocol.state is State.OPEN:
                await self._turn(protocol, connection)
                if quiet_s := self._told_all():
                    await asyncio.sleep(quiet_s)
            if isinstance(protocol.parser_exc, PayloadTooBig):
                self._shown(None)

    async def _turn(self, protocol: ClientProtocol, connection: sockets.socket) -> None:
        """Sends what there is to send, then takes what there is to take. Raises: OSError, WebSocketException."""
        loop = asyncio.get_running_loop()
        for part in protocol.data_to_send():
            await loop.sock_sendall(connection, part)
        heard = await loop.sock_recv(connection, _READ_BYTES)
        if not heard:
            raise ConnectionError("closed")
        protocol.receive_data(heard)
        for event in protocol.events_received():
            if isinstance(event, Frame) and event.opcode in _OF_MESSAGES:
                self._parts.append(event)
                if event.fin:
                    if self._parts[0].opcode is Opcode.TEXT:
                        self._told(b"".join(part.data for part in self._parts))
                    elif self._takes_pictures:
                        self._shown(b"".join(part.data for part in self._parts))
                    self._parts.clear()

    def _told_all(self) -> float:
        """Seconds until it is worth to read on: most of what comes are steps, and two of those for each of them."""
        told_of, self._told_of = self._told_of, set()
        for following in told_of:
            following.follower.tell()
        if any(following.heard.is_set() for following in told_of):
            return 0.0
        return min((following.follower.quiet_s for following in told_of), default=0.0)

    @property
    def _takes_pictures(self) -> bool:
        return any(following.show for following in self._followings.values())

    def _limit(self) -> None:
        if self._protocol is not None:
            self._protocol.max_message_size = MAX_PICTURE_BYTES if self._takes_pictures else _MAX_FRAME_BYTES

    def _shown(self, frame: bytes | None) -> None:
        for following in set(self._followings.values()):
            if following.show is not None:
                following.show(frame)

    def _told(self, text: bytes) -> None:
        """Never raises: any frame may come, and a picture is none of text."""
        try:
            message = msgspec.json.decode(text, type=Message)
        except msgspec.DecodeError:
            return
        run_id = message.data.get("prompt_id")
        if isinstance(run_id, str):
            following = self._followings.get(run_id)
            if following is not None:
                self._told_of.add(following)
                if following.follower.take(message):
                    following.heard.set()
            return
        for following in self._followings.values():
            if not self.hears(following):
                following.heard.set()
