"""A hospital that takes part in a job, and whose main process sends what it must not: a component of its own kit.

It waits for the file `orders.json` in its kit, sends each order in it, and writes what came back to `answers.json`.
"""

import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import CellMessageAuthHeaderKey as Auth
from nvflare.apis.fl_constant import FedEventHeader, FLContextKey
from nvflare.apis.shareable import ReservedHeaderKey, Shareable
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.registry import Callback
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey
from nvflare.private.admin_defs import Message as AdminMessage
from nvflare.private.defs import CellMessageHeaderKeys

from fedefm.files import write_whole

ORDERS, ANSWERS = "orders.json", "answers.json"
AS = "rogue_as"  # marks the messages that its last filter changes
SECONDS = 2.0


class RogueSite(FLComponent):
    """Speaks with the hospital's own certificate, connection and token, or with another's name."""

    def __init__(self):
        super().__init__()
        self._seen = {}

    def handle_event(self, event_type, fl_ctx):
        if event_type == EventType.SYSTEM_START:
            cell = fl_ctx.get_engine().get_cell()
            kit = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir())  # the engine here has none
            cell.core_cell.in_filter_reg.append("*", "*", Callback(self.look, (), {}))
            cell.core_cell.out_req_filter_reg.append("*", "*", Callback(self.forge, (), {}))
            threading.Thread(target=self.wait, args=(cell, kit), daemon=True).start()

    def look(self, message):
        """Keep the token by which the server knows its own messages: each of them brings it."""
        if message.get_header(Auth.CLIENT_NAME) == "server":
            self._seen = {key: message.get_header(key) for key in (Auth.CLIENT_NAME, Auth.TOKEN, Auth.TOKEN_SIGNATURE)}

    def forge(self, message):
        """Change the sender where an order says so, after FLARE has written its own."""
        name = message.get_header(AS)
        if name:
            message.remove_header(AS)
            message.set_header(MessageHeaderKey.ORIGIN, name)
            message.add_headers(self._seen)

    def wait(self, cell, kit):
        while True:
            while not (kit / ORDERS).is_file():
                time.sleep(0.1)
            self.obey(cell, kit)
            (kit / ORDERS).unlink()

    def obey(self, cell, kit):
        with ThreadPoolExecutor(32) as threads:
            answers = list(threads.map(lambda order: self.send(cell, **order), json.loads((kit / ORDERS).read_text())))
        write_whole(kit / ANSWERS, json.dumps(answers))

    def send(self, cell, channel, topic, to, job_id, name=None, way="plain", data=None):
        """One order; the return code of its answer, or `timeout`."""
        message = Message({CellMessageHeaderKeys.JOB_ID: job_id}, payload_of(channel, topic, job_id, data))
        if name:
            message.set_header(AS, name)
        if way == "garbage":
            message = Message({StreamHeaderKey.PAYLOAD_ENCODING: "fobs"}, b"\xff no result")
            reply = cell._send_one_request(channel, to, topic, message, timeout=SECONDS)
        elif way == "stream":
            reply = cell._send_request(channel, to, topic, message, timeout=SECONDS)
        elif way == "bulk":
            one = {"target": to, "channel": channel, "topic": topic}
            one["message"] = {"headers": dict(message.headers), "payload": message.payload}
            bulk = Message({AS: name} if name else None, [one])
            reply = cell.core_cell.send_request("cellnet.channel", "bulk", to, bulk, timeout=SECONDS)
        else:
            reply = cell.core_cell.send_request(channel, topic, to, message, timeout=SECONDS)
        return reply.get_header(MessageHeaderKey.RETURN_CODE, ReturnCode.OK)


def payload_of(channel, topic, job_id, data):
    """What FLARE's own sender of such an order would put into it."""
    if channel == "admin":
        order = AdminMessage(topic=topic, body="")
        order.set_header("job_id", job_id)
        return order
    if channel == "task":
        return {"job_id": job_id} | data
    payload = Shareable()
    payload.update(data or {})
    for key, value in (data or {}).get("headers", {}).items():
        payload.set_header(key, value)
    payload.set_header(FedEventHeader.TIMESTAMP, time.time())
    payload.set_header(FedEventHeader.EVENT_ID, uuid.uuid4().hex)
    payload.set_header(ReservedHeaderKey.PEER_PROPS, {"__identity_name__": "hospital-c"})
    return payload
