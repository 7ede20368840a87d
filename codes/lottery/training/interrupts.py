"""Ctrl-C and SIGTERM, which wait for the end of a step.

Raised wherever Python happens to be, an interrupt is lost (in a `__del__`), comes out of a kernel's
call as another error, or leaves PyTorch without gradients and Numba half loaded: a notebook's
process would be of no more use.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_handlers: dict = {}  # those of before, while signals wait
_waiting: list[int] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM: stop as for Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises Terminated, and an interrupt is one wherever it comes from."""

    def stop(*_: object) -> None:
        raise Terminated

    with _handled({signal.SIGTERM: stop}), unwrapped():
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Signals that have a handler wait for the next step, or the end; a second comes at once.

    Inside another `deferred`, and outside the main thread, nothing is changed.
    """
    if _handlers or not _is_main():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _handlers.update((number, some) for number, some in before.items() if callable(some))
    try:
        with _handled(dict.fromkeys(_handlers, _wait)):
            yield
            between_steps()
    finally:
        _handlers.clear()
        _waiting.clear()


def between_steps() -> None:
    """Hand on the signal that waits, if one does: as a rule that is a KeyboardInterrupt."""
    if _waiting:
        _handlers[_waiting[0]](_waiting[0], None)


@contextmanager
def unwrapped() -> Iterator[None]:
    """An interrupt that Numba's dispatcher makes the cause of a SystemError, or of several, comes
    out as itself."""
    try:
        yield
    except SystemError as error:
        cause = error
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None


def _wait(number: int, frame: object) -> None:
    _waiting.append(number)
    if len(_waiting) > 1:
        _handlers[number](number, frame)


@contextmanager
def _handled(handlers: dict) -> Iterator[None]:
    """With these handlers of signals, which only the main thread takes."""
    before = {
        number: signal.signal(number, some) for number, some in handlers.items() if _is_main()
    }
    try:
        yield
    finally:
        for number, some in before.items():
            signal.signal(number, some)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
