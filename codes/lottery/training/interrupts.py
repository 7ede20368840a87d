"""Ctrl-C and SIGTERM, which wait for the end of a step.

Raised wherever Python happens to be, an interrupt is lost (in a `__del__`), comes out of a kernel's
call as another error, or leaves PyTorch without gradients and Numba half loaded: a notebook's
process would be of no more use.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Of the process, as signals are. The handlers of before are never forgotten: an interrupt that
# comes while they are put back leaves `_wait` in place of one, which then hands on at once.
_before: dict[int, Callable] = {}
_waiting: list[int] = []
_is_deferred = False


class Terminated(KeyboardInterrupt):
    """SIGTERM: stop as for Ctrl-C."""


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises Terminated, and an interrupt is one wherever it comes from."""

    def stop(*_: object) -> None:
        raise Terminated

    if not _is_main():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with unwrapped():
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deferred() -> Iterator[None]:
    """Signals that have a handler wait for the next step, or the end; a second comes at once.

    Inside another `deferred`, and outside the main thread, nothing is changed.
    """
    global _is_deferred
    if _is_deferred or not _is_main():
        yield
        return
    _waiting.clear()
    now = {number: signal.getsignal(number) for number in SIGNALS}
    _before.update((n, some) for n, some in now.items() if callable(some) and some is not _wait)
    changed = [number for number, some in now.items() if callable(some)]
    try:
        _is_deferred = True
        for number in changed:
            signal.signal(number, _wait)
        yield
    finally:
        _is_deferred = False
        for number in changed:
            signal.signal(number, _before[number])
        between_steps()  # even where an error passes, which comes again when the work goes on


def between_steps() -> None:
    """Hand on the signal that waits, if one does: as a rule that is a KeyboardInterrupt."""
    if _waiting and _is_main():
        number = _waiting.pop(0)
        _before[number](number, None)


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
    if _is_deferred and number not in _waiting:
        _waiting.append(number)
    else:
        _waiting[:] = [other for other in _waiting if other != number]
        _before[number](number, frame)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
