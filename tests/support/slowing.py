"""A process that is slow: it is stopped most of the time."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

AWAKE, ASLEEP = 0.05, 0.95  # seconds: 20 times slower


@contextmanager
def slowed(process: psutil.Process, over: threading.Event) -> Iterator[None]:
    """Within the block, until it is over, a process works a twentieth of the time."""

    def duty() -> None:
        with suppress(psutil.NoSuchProcess):
            while not over.wait(AWAKE):
                process.send_signal(signal.SIGSTOP)
                over.wait(ASLEEP)
                process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=duty)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
