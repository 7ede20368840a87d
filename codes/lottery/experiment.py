"""Ladder x arms x seeds: what to run, and what is there already."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from pathlib import Path

import numba
import pandas as pd
import safetensors.torch
import torch

from lottery import corpus as corpora
from lottery import models
from lottery.corpus import DATASETS
from lottery.files import UserError, root, whole
from lottery.progress import Bars
from lottery.pruning.masks import Mask, check_room, counts, full_mask, prunable, prune
from lottery.pruning.scores import SCORES
from lottery.pruning.tickets import ARMS, Origins, Ticket, Weights
from lottery.results import Record, Store, pack
from lottery.settings import Settings, check_ladder
from lottery.training import Diverged, Outcome, advance, train, use

# A rung whose weights are gone is trained again. On the same machine it comes out the same to the
# bit; on another, rounding differs. Further off than this, something else has changed.
ACCURACY_TOLERANCE = 0.01
LOSS_TOLERANCE = 0.05


class Study:
    """The runs of one dataset: every model, seed, rung and arm asked for, and what they stand on.

    `options` are further fields of `Settings`. Nothing is read or trained before it is needed.
    """

    def __init__(
        self,
        dataset: str,
        models: Iterable[str] = ("cnn", "lstm"),
        ladder: Iterable[float] = (0.5,),
        arms: Iterable[str] = ("lt", "random"),
        seeds: Iterable[int] = (0,),
        *,
        store: Store | None = None,
        device: str | None = None,
        threads: int | None = None,
        say=print,
        **options,
    ) -> None:
        if dataset not in DATASETS:
            raise UserError(f"unknown dataset {dataset!r}: there are {', '.join(DATASETS)}")
        self.name, self.dataset = dataset, DATASETS[dataset]
        self.models, self.seeds = tuple(models), tuple(seeds)
        self.ladder, self.arms = check_ladder(ladder), tuple(arms)
        for name in self.arms:
            if name not in ARMS:
                raise UserError(f"unknown arm {name!r}: there are {', '.join(ARMS)}")
        self.options = options
        self.store = store or results_of(dataset)
        self.device = use(device, threads)
        self.say = say
        for settings in self.plan():  # a mistake shows now, not after an hour
            if settings.score not in SCORES:
                raise UserError(f"unknown score {settings.score!r}: there are {', '.join(SCORES)}")
            if settings.scope == "layer" and settings.ladder:
                sizes = {n: w.numel() for n, w in prunable(self._meta(settings)).items()}
                check_room(sizes, settings.ladder, settings.output_rate)

    # What to run

    def settings(self, model: str, arm: str, rung: int, seed: int) -> Settings:
        """The settings of one run of this study."""
        try:
            made = Settings(self.name, model, arm, self.ladder[:rung], seed, **self.options)
        except TypeError as error:
            raise UserError(f"settings: {error}") from None
        return made.checked()

    def plan(self, arms: Iterable[str] | None = None) -> list[Settings]:
        """The runs of `arms` (default: all of the study), each after those it stands on.

        The dense network is always among them: every comparison starts from it.
        """
        arms = self.arms if arms is None else tuple(arms)
        runs: dict[str, Settings] = {}
        for model in self.models:
            for seed in self.seeds:
                chain = [self.settings(model, "dense", 0, seed)]
                for rung in range(1, len(self.ladder) + 1):
                    chain += [
                        self.settings(model, arm, rung, seed)
                        for arm in sorted(arms, key="lt".__ne__)  # the next rung stands on lt
                        if arm != "dense"
                    ]
                runs |= {settings.run: settings for settings in chain}
        return list(runs.values())

    # Running

    def run(self, *arms: str) -> list[Record]:
        """Train what is missing of `arms` (default: all of the study); give all their records."""
        planned = self.plan(arms or None)
        missing = [settings for settings in planned if not self._there(settings)]
        if missing:
            with Bars(len(missing), self.dataset.title) as self._bars:
                for settings in missing:
                    try:
                        self._weights_of(settings)
                    except Diverged as error:
                        self.say(f"{title(settings)}: stopped, {error}")
        return [record for s in planned if (record := self._record(s)) is not None]

    def _there(self, settings: Settings) -> bool:
        """Is nothing to be done for this run? A record that cannot be read stays as it is."""
        try:
            return self.store.get(settings) is not None
        except UserError as error:
            self.say(str(error))
            return True

    def _record(self, settings: Settings) -> Record | None:
        try:
            return self.store.get(settings)
        except UserError:
            return None

    def _weights_of(self, settings: Settings) -> tuple[Weights, Mask]:
        """Trained weights and mask of a run: from its checkpoint, else by training it."""
        path = self.store.weights_path(settings)
        if path.exists() and self.store.record_path(settings).exists():
            return _load(path)
        ticket = self._ticket(settings)
        outcome, record = self._train(settings, ticket)
        mask = ticket.mask or full_mask(outcome.weights)
        if settings.arm in ("dense", "lt"):  # what a further rung would stand on
            tensors = {f"mask/{name}": part for name, part in mask.items()} | outcome.weights
            with whole(path) as temporary:
                safetensors.torch.save_file(tensors, temporary)
        if not self.store.record_path(settings).exists():
            self.store.put(record)
        elif (before := self._record(settings)) is not None:
            _hold_against(before, outcome, self.store.record_path(settings))
        return outcome.weights, mask

    def _ticket(self, settings: Settings) -> Ticket:
        """What the run starts from; trains the rung below if its weights are not there."""
        model = self._model(settings)
        first = models.draw(model, settings.stream("first weights"))
        if settings.arm == "dense":
            return ARMS["dense"](Origins(first))
        below = self._below(settings)
        trained, mask = self._weights_of(below)
        mask = prune(
            SCORES[settings.score](trained),
            mask,
            settings.ladder,
            settings.scope,
            settings.output_rate,
        )
        return ARMS[settings.arm](
            Origins(
                first=first,
                mask=mask,
                rewound=self._rewound(settings, first) if settings.arm == "lt" else None,
                trained=trained,
                new_draw=lambda: models.draw(model, settings.stream("new draw", settings.rung)),
                seed=settings.stream(settings.arm),
            )
        )

    def _below(self, settings: Settings) -> Settings:
        """The run whose trained weights give this run's mask."""
        if settings.rung == 1:
            return replace(settings, arm="dense").checked()
        return replace(settings, arm="lt", ladder=settings.ladder[:-1]).checked()

    def _rewound(self, settings: Settings, first: Weights) -> Weights:
        """θₖ of the dense network; θ₀ itself when k is 0."""
        if not settings.rewind_step:
            return first
        dense = replace(settings, arm="dense").checked()
        steps = settings.epochs * -(-len(self.corpus.train) // settings.batch_size)
        if settings.rewind_step > steps:
            raise UserError(f"rewind_step {settings.rewind_step} is beyond the {steps} steps")
        path = self.store.weights_path(dense)
        path = path.with_name(f"{dense.run}.step{settings.rewind_step}.safetensors")
        if path.exists():
            return _load(path)[0]
        weights = advance(
            self._model(dense), first, self._cut(dense), dense, settings.rewind_step, self.device
        )
        with whole(path) as temporary:
            safetensors.torch.save_file(weights, temporary)
        return weights

    def _train(self, settings: Settings, ticket: Ticket) -> tuple[Outcome, Record]:
        start = time.perf_counter()
        with self._bars.run(title(settings), settings.epochs) as progress:
            corpus = self._cut(settings)
            model = self._model(settings)
            outcome = train(model, ticket, corpus, settings, self.device, progress)
        mask = ticket.mask or full_mask(outcome.weights)
        record = Record(
            settings=settings,
            layers=counts(mask),
            history=outcome.history,
            best_epoch=outcome.best_epoch,
            test_loss=outcome.test_loss,
            test_accuracy=outcome.test_accuracy,
            test_correct=pack(outcome.correct),
            seconds=time.perf_counter() - start,
            device=_device_name(self.device),
            threads=numba.get_num_threads(),
            versions=_versions(),
            commit=_commit(),
            data={
                "source": corpus.source,
                "fingerprint": corpus.fingerprint,
                "generated": corpus.generated,
                "repeated_texts": corpus.facts.get("repeated_texts"),
                "rows": {
                    "train": len(corpus.train),
                    "valid": len(corpus.valid),
                    "test": len(corpus.test),
                },
            },
        )
        return outcome, record

    # What it runs on

    @cached_property
    def corpus(self) -> corpora.Corpus:
        """The dataset's texts as token ids, uncut."""
        settings = self.settings(self.models[0], "dense", 0, self.seeds[0])
        return corpora.load(
            self.name,
            split_seed=settings.split_seed,
            vocabulary_size=settings.vocabulary_size,
            say=self.say,
        )

    def _cut(self, settings: Settings) -> corpora.Corpus:
        if getattr(self, "_cut_at", None) != settings.max_tokens:
            self._cut_at = settings.max_tokens
            cut = {n: getattr(self.corpus, n).cut(self._cut_at) for n in ("train", "valid", "test")}
            self._cut_corpus = replace(self.corpus, **cut)
        return self._cut_corpus

    def _model(self, settings: Settings) -> torch.nn.Module:
        return models.build(settings, len(self.corpus.vocabulary), self.dataset.logits)

    def _meta(self, settings: Settings) -> dict[str, torch.Tensor]:
        """The shapes of a model's tensors, without their memory and without the corpus."""
        with torch.device("meta"):
            model = models.build(settings, settings.vocabulary_size, self.dataset.logits)
        return dict(model.named_parameters())

    def parameters(self, model: str) -> pd.DataFrame:
        """One row per tensor of a model: name, shape, weights, how many of them can be pruned."""
        weights = self._meta(self.settings(model, "dense", 0, self.seeds[0]))
        free = {name: part.numel() for name, part in prunable(weights).items()}
        rows = [
            (name, " × ".join(map(str, w.shape)), w.numel(), free.get(name, 0))
            for name, w in weights.items()
        ]
        rows.append(("all", "", sum(row[2] for row in rows), sum(row[3] for row in rows)))
        return pd.DataFrame(rows, columns=["tensor", "shape", "weights", "prunable"])

    def report(self) -> Path:
        """Write the tables, the figures and the report from the store's records."""
        from lottery import report

        return report.write(self.store, say=self.say)


def results_of(dataset: str) -> Store:
    """Where a dataset's records are kept: `results/`, apart from those of generated corpora."""
    folder = root() / "results"
    return Store(folder / "demo" if DATASETS[dataset].generated else folder)


def _load(path: Path) -> tuple[Weights, Mask]:
    tensors = safetensors.torch.load_file(path)
    mask = {n.removeprefix("mask/"): t for n, t in tensors.items() if n.startswith("mask/")}
    return {n: t for n, t in tensors.items() if not n.startswith("mask/")}, mask


def _hold_against(record: Record, outcome: Outcome, path: Path) -> None:
    """UserError if a run trained again is further from its record than rounding can explain."""
    accuracy = abs(record.test_accuracy - outcome.test_accuracy)
    loss = abs(record.test_loss - outcome.test_loss)
    if accuracy > ACCURACY_TOLERANCE or loss > LOSS_TOLERANCE:
        raise UserError(
            f"{path}: trained again, test accuracy is {outcome.test_accuracy:.4f} and loss "
            f"{outcome.test_loss:.4f}, but the record says {record.test_accuracy:.4f} and "
            f"{record.test_loss:.4f}; code or data changed: move the old records away"
        )


def title(settings: Settings) -> str:
    """A run in words, e.g. "cnn lt 0.5 seed 0"."""
    rung = f" {settings.sparsity:g}" if settings.rung else ""
    return f"{settings.model} {settings.arm}{rung} seed {settings.seed}"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({platform.machine()})"


def _versions() -> dict[str, str]:
    names = ("lottery", "torch", "numpy", "numba", "scipy")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}


def _commit() -> str:
    """The code's commit, "+" behind it if files differ from it, "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here)]
        options = {"capture_output": True, "text": True, "check": True, "timeout": 10}
        head = subprocess.run([*git, "rev-parse", "HEAD"], **options).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--", "."], **options).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head + ("+" if changed.strip() else "")
