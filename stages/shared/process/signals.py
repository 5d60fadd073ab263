"""Ctrl-C and SIGTERM: quiet, and with nothing half-made left behind."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_cleanups: list[Callable[[], None]] = []


def take_over() -> None:
    """From now on both signals end this process at once, quietly, after the clean-ups."""
    _handle(_end)


def _handle(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)


def _end(signum: int, frame: FrameType | None) -> None:
    """Clear away what is half-made and exit, here and now; a second signal doesn't wait for it.

    An exception would have to pass through whatever runs at the moment: C++ that is being imported aborts, a callback
    swallows it.
    """
    _handle(lambda signum, frame: os._exit(128 + signum))
    try:
        for clean in _cleanups:
            clean()
        sys.stdout.flush()
    finally:
        os._exit(128 + signum)


@contextmanager
def cleaned(clean: Callable[[], None]) -> Iterator[None]:
    """Call `clean` when the block is left, be it by a signal that ends a stage's process."""
    _cleanups.append(clean)
    try:
        yield
    finally:
        clean()
        _cleanups.remove(clean)


@contextmanager
def deferred() -> Iterator[None]:
    """Let a Ctrl-C or SIGTERM that comes during the block wait for its end."""
    if threading.current_thread() is not threading.main_thread():  # signals reach no other
        yield
        return
    waiting: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for signum in waiting:
            signal.raise_signal(signum)
