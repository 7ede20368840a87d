"""Compile the kernels into their cache, in two processes; else each worker of pytest would do all.

python tests/helpers/compiled.py
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

TESTS = Path(__file__).parents[1]


def trained(model: str) -> None:
    """The kernels of a training, whole and pruned."""
    from helpers.children import study

    with tempfile.TemporaryDirectory() as folder:
        study(folder, (0.5, 0.95), ("lt",), 1, models=(model,), weight_decay=1e-4).run()


def sloped(model: str) -> None:
    """The kernels of gradients in double precision."""
    from helpers.corpora import make_corpus
    from lottery import models
    from lottery.settings import Settings
    from lottery.training.slope import slope

    corpus = make_corpus()
    network = models.build(
        Settings("demo-reviews", model, "dense", (), 0), len(corpus.vocabulary), 1
    )
    weights = models.draw(network, 0)
    slope(network, corpus.train, {name: weight.double() for name, weight in weights.items()})


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))  # a process begun by "spawn" is given it, too
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        # The longest first: the other process does the rest meanwhile.
        jobs = [(trained, "lstm"), (trained, "cnn"), (sloped, "cnn"), (sloped, "lstm")]
        for done in [pool.submit(job, model) for job, model in jobs]:
            done.result()
