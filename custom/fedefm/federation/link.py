"""A line between a hospital and the server that can be thin, slow, cut, or half open: a relay of bytes on the loopback.

TLS passes through it unopened, so each end still checks the other's certificate. A kit names the relay's port since it
was made (`provision(..., links=...)`): nothing in it is edited.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from fedefm.errors import FedefmError

LOOPBACK = "127.0.0.1"
CHUNK = 65536
POLL_SECONDS = 0.05
READY_SECONDS = 10.0


@dataclass
class Link:
    """Carries bytes from a port of the loopback to another one, as it is told.

    Attributes:
        port: where it listens.
        target: where the bytes go.
        rate: bytes a second that it carries in each direction, all connections together; None carries what it can.
        delay: seconds that each piece of them takes.
        held: nothing is carried, and nobody is told: the link is half open.
        cut: connections are closed, and new ones at once too.
        carried: bytes so far, in both directions.
        broken: connections that were closed, or refused, because the line was cut.
    """

    port: int
    target: int
    rate: float | None = None
    delay: float = 0.0
    held: bool = False
    cut: bool = False
    carried: int = 0
    broken: int = 0
    _free_at: dict[str, float] = field(default_factory=dict)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    def drop(self) -> None:
        """Close all connections that there are; new ones are taken.

        Raises:
            FedefmError: the link is not at work.
        """
        if self._loop is None:
            raise FedefmError(f"link at port {self.port}: is not at work; drop within `carrying`")
        self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut:
            self.broken += 1
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:  # the server is not there: the hospital is told as it would be without a relay
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._carry("out", reader, back), self._carry("in", there, writer))

    async def _carry(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(CHUNK):
                await asyncio.sleep(self.delay + self._turn(way, len(piece)))
                while self.held:
                    await asyncio.sleep(POLL_SECONDS)
                self.carried += len(piece)
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    def _turn(self, way: str, size: int) -> float:
        """Seconds until the last of these bytes is through the line, behind those that were there before."""
        if self.rate is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        self._free_at[way] = max(now, self._free_at.get(way, now)) + size / self.rate
        return self._free_at[way] - now

    async def _run(self, ready: threading.Event, over: threading.Event) -> None:
        server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
        self._loop = asyncio.get_running_loop()
        ready.set()
        while not over.is_set():
            if self.cut:
                self.broken += len(self._writers) // 2  # each connection has two ends here
                self._close()
            await asyncio.sleep(POLL_SECONDS)
        server.close()
        self.held = False
        self._close()
        self._loop = None
        await asyncio.sleep(POLL_SECONDS)  # those who carry see the end


@contextmanager
def carrying(link: Link) -> Iterator[Link]:
    """The link at work, in a thread of its own.

    Raises:
        FedefmError: its port is taken.
    """
    ready, over = threading.Event(), threading.Event()

    def work() -> None:
        with suppress(OSError):  # the port is taken: whoever waits for `ready` says so
            asyncio.run(link._run(ready, over))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        if not ready.wait(READY_SECONDS):
            raise FedefmError(f"port {link.port}: is taken by another program; try again")
        yield link
    finally:
        over.set()
        thread.join(READY_SECONDS)
