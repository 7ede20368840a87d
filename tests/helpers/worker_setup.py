"""What the tests want of a Dask worker: `dask worker --preload` runs this before anything else.

LOTTERY_TEST_TRAINED  a file that takes a line for every training that begins
LOTTERY_TEST_BLIND    a folder that the worker cannot read, as if it lay on another machine's disk
LOTTERY_TEST_KILLER   an arm whose training kills the worker
LOTTERY_TEST_SLOW     seconds to wait after each epoch
LOTTERY_TEST_HOLD     a file without which no epoch ends
LOTTERY_TEST_CODE     pretend to run other code
"""

from __future__ import annotations

import os
import sys
import time

from lottery.cluster import worker
from lottery.experiment import run as one
from lottery.runs import provenance
from lottery.training import train as training

trained = os.environ.get("LOTTERY_TEST_TRAINED")
blind = os.environ.get("LOTTERY_TEST_BLIND")
killer = os.environ.get("LOTTERY_TEST_KILLER")
slow = float(os.environ.get("LOTTERY_TEST_SLOW", "0"))
hold = os.environ.get("LOTTERY_TEST_HOLD")


def no_sight(event: str, arguments: tuple) -> None:
    if event == "open" and str(arguments[0]).startswith(blind):
        raise FileNotFoundError(arguments[0])


if blind:
    sys.addaudithook(no_sight)
if os.environ.get("LOTTERY_TEST_CODE"):
    provenance.code = worker.code = lambda: "other"


def noted(train):
    def watched(model, ticket, corpus, settings, *more):
        if trained:
            with open(trained, "a") as file:
                file.write(f"{settings.run}\n")
        if killer == settings.arm:
            time.sleep(0.2)
            os._exit(1)
        return train(model, ticket, corpus, settings, *more)

    return watched


def slowly(evaluate):
    def watched(*arguments):
        time.sleep(slow)
        while hold and not os.path.exists(hold):
            time.sleep(0.05)
        return evaluate(*arguments)

    return watched


if not hasattr(one, "prepared"):  # Dask may load this file twice
    one.prepared = True
    one.train, training.evaluate = noted(one.train), slowly(training.evaluate)
