"""Records that nobody trained, for tests of what is made from records."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lottery.results import Epoch, Record, pack
from lottery.settings import Settings

TEST_ROWS = 1000
LAYERS = {"embedding.weight": 8000, "convolutions.weight": 1500, "output.weight": 500}


def record(
    dataset: str = "imdb",
    model: str = "cnn",
    arm: str = "dense",
    ladder: tuple[float, ...] = (),
    seed: int = 0,
    *,
    accuracy: float = 0.9,
    loss: float = 0.25,
    generated: bool | None = None,
    fingerprint: str = "0123456789abcdef",
    source: str = "data/imdb.parquet",
    seconds: float = 90.0,
    **options,
) -> Record:
    """A run of three epochs, the second the best, with `accuracy` and `loss` on the test set."""
    settings = Settings(dataset, model, arm, ladder, seed, **options).checked()
    correct = np.arange(TEST_ROWS) < round(accuracy * TEST_ROWS)
    losses = (loss + 0.1, loss + 0.02, loss + 0.05)
    history = tuple(
        Epoch(n, losses[n - 1] - 0.1 * n, accuracy - 0.1 + 0.05 * n, losses[n - 1], accuracy, 30.0)
        for n in (1, 2, 3)
    )
    removed = {name: round(settings.sparsity * size) for name, size in LAYERS.items()}
    return Record(
        settings=settings,
        layers={name: (removed[name], size) for name, size in LAYERS.items()},
        history=history,
        best_epoch=2,
        test_loss=loss,
        test_accuracy=float(correct.mean()),
        test_correct=pack(correct),
        seconds=seconds,
        device="cpu (x86_64)",
        threads=2,
        versions={"torch": "2.13.0", "numpy": "2.2.6"},
        commit="unknown",
        data={
            "source": source,
            "fingerprint": fingerprint,
            "generated": dataset.startswith("demo") if generated is None else generated,
            "rows": {"train": 28000, "valid": 12000, "test": TEST_ROWS},
            "repeated_texts": 418,
        },
    )


def study(
    dataset: str = "imdb",
    ladder: tuple[float, ...] = (0.5,),
    arms: tuple[str, ...] = ("lt", "random"),
    seeds: tuple[int, ...] = (0,),
    models: tuple[str, ...] = ("cnn", "lstm"),
    **options,
) -> list[Record]:
    """All runs of a study; accuracies fall along the ladder, faster for the later arms."""
    made = []
    for m, model in enumerate(models):
        for seed in seeds:
            top = 0.89 + 0.01 * m + 0.003 * ((seed * 7 + m) % 3)
            made.append(record(dataset, model, seed=seed, accuracy=top, **options))
            for rung in range(1, len(ladder) + 1):
                for a, arm in enumerate(arms):
                    fall = sum(b - a for a, b in pairwise((0, *ladder[:rung])))
                    drop = 0.004 * rung * (a + 0.5) * fall + 0.002 * a
                    accuracy = top - drop + 0.001 * ((seed * 5 + a + rung) % 3)
                    loss = 0.25 + drop
                    made.append(
                        record(
                            dataset,
                            model,
                            arm,
                            ladder[:rung],
                            seed,
                            accuracy=accuracy,
                            loss=loss,
                            **options,
                        )
                    )
    return made
