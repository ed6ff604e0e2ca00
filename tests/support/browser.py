"""A real browser without a window: Chromium, spoken to over two pipes, so that no package is needed for it."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Tab:
    """One page in the browser.

    Attributes:
        complaints: what the page wrote on its console, and errors of its scripts and files.
        fetched: the addresses that it asked for.
    """

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes, self._number, self._rest, self._session = reads, writes, 0, b"", None
        self.complaints: list[str] = []
        self.fetched: list[str] = []
        (target,) = [one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page"] or [
            self.call("Target.createTarget", url="about:blank")
        ]
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._heed(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def open(self, path: Path, width: int = 1200, height: int = 1600) -> None:
        """Load a file from the disk, and wait until it stands."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 30) -> None:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.ask(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)

    def press(self, key: str, code: str = "") -> None:
        """A key of the keyboard."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=code or key, **text, **_virtual(key))
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=code or key, **_virtual(key))

    def click(self, selector: str) -> None:
        """A click of the mouse in the middle of an element."""
        script = (
            f"(e => (e.scrollIntoView(), e.getBoundingClientRect().toJSON()))(document.querySelector({selector!r}))"
        )
        place = self.ask(script)
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def shoot(self, path: Path) -> None:
        """A picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(picture["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            got = os.read(self._reads, 1 << 16)
            assert got, "the browser ended"
            self._rest += got
        whole, _, self._rest = self._rest.partition(b"\0")
        return json.loads(whole)

    def _heed(self, event: dict[str, Any]) -> None:
        method, told = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(told["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" or told.get("entry", {}).get("level") == "error":
            self.complaints.append(json.dumps(told))
        elif method == "Network.requestWillBeSent":
            self.fetched.append(told["request"]["url"])


def _virtual(key: str) -> dict[str, int]:
    known = {"ArrowLeft": 37, "ArrowRight": 39, "Tab": 9, " ": 32, "Home": 36, "End": 35}
    number = known.get(key, ord(key.upper()) if len(key) == 1 else 0)
    return {"windowsVirtualKeyCode": number}


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """A browser that ends with the block; the test is skipped where none is installed.

    Args:
        profile: a folder of its own.
    """
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no browser is installed: apt-get install chromium")
    (its_end, writes), (reads, other_end) = os.pipe(), os.pipe()
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    command += ["--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}", "about:blank"]

    def lay() -> None:  # the protocol wants 3 to read from and 4 to write to
        commands, answers = os.dup(its_end), os.dup(other_end)
        for wanted, given in ((3, commands), (4, answers)):
            os.dup2(given, wanted)

    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=lay, close_fds=False
    )
    os.close(its_end)
    os.close(other_end)
    try:
        yield Tab(reads, writes)
    finally:
        process.terminate()
        process.wait(30)
        os.close(writes)
        os.close(reads)
