"""The end point of a server's job in a process of its own, to which a hospital sends a result that cannot be decoded.

`garbled_job.py guarded` or `garbled_job.py bare`; it prints what the next whole request got.
"""

import sys

from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey

from fedefm.flare.job_end_point import outlive_what_cannot_be_decoded

URL = "tcp://localhost:1"  # nobody listens: all three end points are in this process
PURPOSE = {"channel": "server_command", "topic": "submit_update", "target": "server.job"}


def answer(request: Message) -> Message:
    """What a job does with a result that it can read."""
    return Message({MessageHeaderKey.RETURN_CODE: "ok"}, request.payload)


def main(how: str) -> None:
    """Send garbage, then a whole result."""
    names = ("server", "server.job", "hospital-b")
    _, job, hospital = (Cell(name, URL, secure=False, credentials={}, create_internal_listener=False) for name in names)
    for cell in (job, hospital):
        cell.core_cell.running = True
    job.register_request_cb(channel="server_command", topic="*", cb=answer)
    if how == "guarded":
        outlive_what_cannot_be_decoded(job)
    garbage = Message({StreamHeaderKey.PAYLOAD_ENCODING: "fobs"}, b"\xff no result")
    first = hospital._send_one_request(request=garbage, timeout=3.0, **PURPOSE)
    second = hospital._send_request(request=Message(None, {"whole": 1}), timeout=10.0, **PURPOSE)
    code = MessageHeaderKey.RETURN_CODE
    print(first.get_header(code), second.get_header(code), second.payload, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    import os

    os._exit(0)  # FLARE's threads have no end
