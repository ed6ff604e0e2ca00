"""A proxy that knows CONNECT and nothing else (RFC 9110, 9.3.6), as hospitals have one; runs in a container by itself.

Where a file `delay` lies in its folder, each piece of bytes takes that many seconds; where `held` lies, nothing is
carried and nobody is told; where `drop` appears, all connections are closed. `log` gets a line for each connection.
"""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

PORT, CHUNK = 3128, 65536
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else "/proxy")
open_writers: set[asyncio.StreamWriter] = set()


def delay() -> float:
    try:
        return float((FOLDER / "delay").read_text())
    except (OSError, ValueError):
        return 0.0


def note(line: str) -> None:
    with (FOLDER / "log").open("a") as log:
        log.write(line + "\n")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    words = (await reader.readuntil(b"\r\n\r\n")).split()
    if words[0] != b"CONNECT":
        writer.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
        writer.close()
        return
    host, _, port = words[1].decode().rpartition(":")
    try:
        there, back = await asyncio.open_connection(host, int(port))
    except OSError as error:
        note(f"{host}:{port} {type(error).__name__}")
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        writer.close()
        return
    note(f"{host}:{port} open")
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    open_writers.update((writer, back))
    await asyncio.gather(carry(reader, back), carry(there, writer))


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(CHUNK):
            await asyncio.sleep(delay())
            while (FOLDER / "held").exists():
                await asyncio.sleep(0.05)
            writer.write(piece)
            await writer.drain()
    writer.transport.abort()
    open_writers.discard(writer)


async def main() -> None:
    await asyncio.start_server(serve, "0.0.0.0", PORT)
    note("listening")
    while True:
        if (FOLDER / "drop").exists():
            (FOLDER / "drop").unlink()
            note(f"dropped {len(open_writers)}")
            for writer in list(open_writers):
                writer.transport.abort()
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
