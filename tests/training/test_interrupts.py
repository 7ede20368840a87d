"""An interrupt in the midst of a step neither gets lost nor leaves a process of no more use."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest
import torch

from helpers.children import study
from helpers.stores import same
from lottery.training import epoch as epochs
from lottery.training import interrupts
from lottery.training.adam import Adam
from lottery.training.interrupts import (
    SIGNALS,
    Terminated,
    between_steps,
    deferred,
    terminable,
    unwrapped,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")


def send(number: int = signal.SIGINT) -> None:
    """To this process; its handler has run when this comes back."""
    os.kill(os.getpid(), number)
    for _ in range(1000):
        pass


@pytest.fixture(autouse=True)
def handlers():
    """Python's own, as in a terminal and in a notebook; a test leaves them as they were."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


class Dying:
    """What is raised in its `__del__` is lost."""

    def __del__(self) -> None:
        send()


@pytest.mark.parametrize("where", ["training", "validation"])
def test_one_that_comes_where_it_would_be_lost_stops_after_the_step(tmp_path, monkeypatch, where):
    made, done = study(tmp_path, epochs=3), []
    if where == "training":
        thing, name, step = Adam, "step", Adam.step
    else:
        thing, name, step = epochs, "guess", epochs.guess

    def watched(*args):
        if len(done) == 1:
            Dying()
        given = step(*args)
        done.append(given)
        return given

    monkeypatch.setattr(thing, name, watched)
    with pytest.raises(KeyboardInterrupt):
        made.run("dense")
    assert len(done) == 2, "the step is whole, and the last"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_stopped_at_forty_random_moments_a_process_goes_on_as_if_undisturbed(tmp_path):
    quiet = study(tmp_path / "quiet", epochs=8)
    quiet.run("dense")
    made, moments, stopped = study(tmp_path / "stopped", epochs=8), random.Random(3), 0
    for _ in range(40):
        timer = threading.Timer(moments.uniform(0.01, 0.05), send)
        try:
            timer.start()
            made.run("dense")
            time.sleep(1)
        except KeyboardInterrupt:
            stopped += 1
        timer.join()
        assert torch.is_grad_enabled()
    assert stopped > 30, "outside of a training one may still be lost"
    made.run("dense")
    same(made.store, quiet.store)


def done_before(error: type[BaseException], *actions: Callable) -> int:
    """How many of the actions are done, `deferred`, before the error comes."""
    done = []

    def work() -> None:
        with deferred():
            for action in actions:
                action()
                done.append(action)

    with pytest.raises(error):
        work()
    return len(done)


def test_one_comes_between_steps_or_at_the_end():
    assert done_before(KeyboardInterrupt, send, between_steps, send) == 1
    assert done_before(KeyboardInterrupt, send) == 1
    with deferred():
        between_steps()  # what waited is forgotten
    with pytest.raises(KeyboardInterrupt):
        send()


def test_a_second_one_comes_at_once():
    assert done_before(KeyboardInterrupt, send, send, between_steps) == 1


def test_one_that_waits_is_not_lost_behind_an_error():
    """Which `climb` may swallow, as where another process is at the run."""

    def broken() -> None:
        raise ValueError

    assert done_before(KeyboardInterrupt, send, broken) == 1
    assert done_before(ValueError, broken) == 0


def test_a_handler_that_does_not_raise_is_called_once_a_signal():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))

    def term() -> None:
        send(signal.SIGTERM)

    try:
        assert done_before(KeyboardInterrupt, term, between_steps, between_steps, term, send,
                           between_steps, between_steps) == 6  # fmt: skip
        assert heard == [signal.SIGTERM] * 2, "and the other, first of its kind, waited"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_leaves_it_to_the_main_one():
    raised = []

    def work() -> None:
        try:
            between_steps()
        except BaseException as error:
            raised.append(error)

    def elsewhere() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert done_before(KeyboardInterrupt, send, elsewhere, between_steps) == 2
    assert raised == []


def once() -> None:
    with deferred():
        pass


@pytest.mark.parametrize("moment", range(40))
def test_wherever_it_comes_it_is_raised_and_the_next_one_waits_again(moment):
    """At each line that is run on the way in and out."""
    count, raised = 0, False

    def trace(frame, event, _):
        nonlocal count
        if frame.f_code.co_filename == interrupts.__file__:
            count += 1
            if count == moment + 1:
                sys.settrace(None)
                send()
                return None
        return trace

    try:
        sys.settrace(trace)
        once()
        between_steps()
    except KeyboardInterrupt:
        raised = True
    finally:
        sys.settrace(None)
    assert raised or moment > 15, "it runs through many"
    assert raised == (count > moment)
    assert done_before(KeyboardInterrupt, send, between_steps) == 1


def test_inside_another_one_waits_for_the_next_step():
    def inside() -> None:
        with deferred():
            send()

    assert done_before(KeyboardInterrupt, inside, between_steps) == 1


def test_sigterm_waits_too_where_it_has_a_handler():
    with terminable():
        assert done_before(Terminated, lambda: send(signal.SIGTERM), between_steps) == 1
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_is_ignored_stays_so():
    """As Ctrl-C behind a shell's &."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred():
        send()
        between_steps()
        assert [signal.getsignal(number) for number in SIGNALS] == [signal.SIG_IGN, signal.SIG_DFL]
    signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_is_changed():
    seen = []

    def work() -> None:
        with terminable(), deferred():
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler, signal.SIG_DFL]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_interrupt_that_caused_errors_comes_out_as_itself(depth):
    error: BaseException = Terminated()
    for _ in range(depth):
        wrong = SystemError("returned a result with an exception set")
        wrong.__cause__ = error
        error = wrong
    with pytest.raises(Terminated), unwrapped():
        raise error
    with pytest.raises(SystemError, match="another one"), unwrapped():
        raise SystemError("another one") from ValueError()
