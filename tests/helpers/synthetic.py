"""Records that nobody trained, for tests of what is made from records."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lottery.pruning.transfer import Transfer
from lottery.runs.record import Record, pack
from lottery.settings import Settings
from lottery.training.epoch import Epoch

TEST_ROWS = 1000
LAYERS = {
    "embedding.weight": 8000,
    "convolutions.0.weight": 400,
    "convolutions.1.weight": 500,
    "convolutions.2.weight": 600,
    "output.weight": 500,
}
LSTM_LAYERS = {
    "embedding.weight": 8000,
    "lstm.weight_ih_l0": 400,
    "lstm.weight_hh_l0": 350,
    "lstm.weight_ih_l0_reverse": 400,
    "lstm.weight_hh_l0_reverse": 350,
    "output.weight": 500,
}


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
    place: str = "data/imdb.parquet",
    seconds: float = 90.0,
    correct: np.ndarray | None = None,
    layers: dict[str, int] | None = None,
    **options,
) -> Record:
    """A run of three epochs, the second the best, with `accuracy` and `loss` on the test set.

    `correct` (rows,) says instead which test examples are right; `layers` gives other sizes.
    """
    settings = Settings(dataset, model, arm, ladder, seed, **options).checked()
    if correct is None:
        correct = np.arange(TEST_ROWS) < round(accuracy * TEST_ROWS)
    layers = layers or (LSTM_LAYERS if model == "lstm" else LAYERS)
    losses = (loss + 0.1, loss + 0.02, loss + 0.05)
    history = tuple(
        Epoch(n, losses[n - 1] - 0.1 * n, accuracy - 0.1 + 0.05 * n, losses[n - 1], accuracy, 30.0)
        for n in (1, 2, 3)
    )
    removed = {name: round(settings.sparsity * size) for name, size in layers.items()}
    kept = {name: (size - removed[name], size) for name, size in layers.items()}
    return Record(
        transfer=_transfer(kept) if settings.source else None,
        settings=settings,
        layers={name: (removed[name], size) for name, size in layers.items()},
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
            "source": place,
            "fingerprint": fingerprint,
            "generated": dataset.startswith("demo") if generated is None else generated,
            "rows": {"train": 28000, "valid": 12000, "test": len(correct)},
            "repeated_texts": 418,
        },
    )


def _transfer(kept: dict[str, tuple[int, int]]) -> Transfer:
    """Half of the words are in both vocabularies, the output is the own ticket's, which keeps twice
    as much of the words."""
    words, output = kept["embedding.weight"], kept["output.weight"]
    half = words[0] // 2, words[1] // 2
    inner = [count for name, count in kept.items() if name[:6] not in ("embedd", "output")]
    return Transfer(
        "0" * 12,
        "1" * 64,
        words=80,
        shared=40,
        own=sum(some for some, _ in kept.values()) + words[0],
        own_inner=sum(some for some, _ in kept.values()) - words[0],
        inner=sum(some for some, _ in kept.values()) - words[0],
        by_word=half,
        as_found=tuple(map(sum, zip(*inner, strict=True))),
        at_random=(words[0] - half[0], words[1] - half[1]),
        from_own=output,
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


ROWS = 4000  # test examples of `world`, enough to decide by half points


def right(accuracy: float, seed: int, arm: str, ladder: tuple[float, ...] = ()) -> np.ndarray:
    """bool (ROWS,): `accuracy` of the examples, the easy ones first, but for some chance.

    All networks find the same examples easy. The count is exact, so that differences are as asked.
    """
    easy = np.random.default_rng(0).standard_normal(ROWS)
    own = np.random.default_rng([seed, *map(ord, arm), *(int(1000 * step) for step in ladder)])
    score = easy + 0.15 * own.standard_normal(ROWS)
    return score > np.sort(score)[ROWS - round(accuracy * ROWS) - 1]


def world(
    points: dict[str, tuple[float | None, ...]],
    ladder: tuple[float, ...] = (0.5, 0.75, 0.875),
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
    dataset: str = "imdb",
    model: str = "cnn",
    dense: float = 0.9,
    swing: float = 0.0005,
    **options,
) -> list[Record]:
    """A study whose arms lie `points` (one a rung, of 100) above dense; None: not run.

    Seeds swing around that by `swing` and twice it.
    """
    made = []
    for seed in seeds:
        plain = {name: v for name, v in options.items() if name not in ("rewind_step", "scope")}
        top = right(dense, seed, "dense")
        made.append(record(dataset, model, seed=seed, correct=top, **plain))
        for arm, heights in points.items():
            for rung, height in enumerate(heights, 1):
                if height is None:
                    continue
                lean = swing * ((seed + rung + len(arm)) % 5 - 2)
                steps = ladder[:rung]
                share = dense + height / 100 + lean
                made.append(
                    record(
                        dataset,
                        model,
                        arm,
                        steps,
                        seed,
                        correct=right(share, seed, arm, steps),
                        **options,
                    )
                )
    return made
