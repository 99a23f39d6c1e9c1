"""How a process learns that it has to end."""

import signal
import threading


def ends() -> threading.Event:
    """What is set at SIGTERM and SIGINT, from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
