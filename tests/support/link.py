"""A link between a hospital and the server that can be slowed, cut, and left half open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65536


@dataclass
class Link:
    """Carries bytes from a port of the loopback to another one, as it is told.

    Attributes:
        port: where it listens.
        target: where the bytes go.
        delay: seconds that each piece of them takes.
        held: nothing is carried, and nobody is told: the link is half open.
        cut: connections are closed, and new ones at once too.
    """

    port: int
    target: int
    delay: float = 0.0
    held: bool = False
    cut: bool = False
    carried: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    def drop(self) -> None:
        """Close all connections that there are; new ones are taken."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut:
            writer.transport.abort()
            return
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers |= {writer, back}
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(CHUNK):
                await asyncio.sleep(self.delay)
                while self.held:
                    await asyncio.sleep(0.05)
                writer.write(piece)
                await writer.drain()
                self.carried += len(piece)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _run(self, ready: threading.Event, over: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        ready.set()
        while not over.is_set():
            if self.cut:
                self._close()
            await asyncio.sleep(0.05)
        server.close()
        self.held = False
        self._close()


@contextmanager
def carrying(link: Link) -> Iterator[Link]:
    """The link at work, in a thread of its own."""
    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(link._run(ready, over)))
    thread.start()
    try:
        assert ready.wait(10)
        yield link
    finally:
        over.set()
        thread.join()
