"""Ladder x arms x seeds: what to run, and what is there already."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from filelock import FileLock, Timeout

from lottery import data as corpora
from lottery import models
from lottery.data import DATASETS, Corpus
from lottery.experiment.bars import Bars
from lottery.experiment.run import apart, check_step, perform, rewound, task_of
from lottery.files import UserError, root, unwritable
from lottery.pruning.masks import Mask, check_room, prunable
from lottery.pruning.scores import SCORES
from lottery.pruning.tickets import ARMS, Weights
from lottery.recipes import RECIPES
from lottery.runs import checkpoints
from lottery.runs.store import Record, Store
from lottery.settings import OWN, Settings, check_ladder, title
from lottery.training.train import Diverged, use

# A rung whose weights are gone is trained again. On the same machine it comes out the same to the
# bit; on another, rounding differs. Further off than this, something else has changed.
ACCURACY_TOLERANCE = 0.01
LOSS_TOLERANCE = 0.05


class Busy(Exception):
    """Another process is at this run."""


class Study:
    """The runs of one dataset: every model, seed, rung and arm asked for, and what they stand on.

    `options` are further fields of `Settings`; where one is missing or None, the dataset's recipe
    holds. Nothing is read or trained before it is needed.

    With `at`, the arms are trained at these sparsities of the ladder alone, and below them only
    what they stand on.

    Trained is in this process; or with `jobs` on so many processes of this machine, one thread
    each; or on the Dask cluster of `client`, a `distributed.Client` or a scheduler's address, with
    `per_gpu` runs at a time on each GPU that its workers offer.

    Raises UserError for what is no dataset, arm or setting, or out of bounds.
    """

    def __init__(
        self,
        dataset: str,
        models: Iterable[str] = ("cnn", "lstm"),
        ladder: Iterable[float] = (0.5,),
        arms: Iterable[str] = ("lt", "random"),
        seeds: Iterable[int] = (0,),
        *,
        at: Iterable[float] | None = None,
        store: Store | None = None,
        device: str | None = None,
        threads: int | None = None,
        jobs: int | None = None,
        client=None,
        per_gpu: int = 1,
        say=print,
        **options,
    ) -> None:
        if dataset not in DATASETS:
            raise UserError(f"unknown dataset {dataset!r}: there are {', '.join(DATASETS)}")
        self.name, self.dataset = dataset, DATASETS[dataset]
        self.models, self.seeds = _several("models", models), _several("seeds", seeds)
        for name, value in (("models", self.models), ("seeds", self.seeds)):
            if not value:
                raise UserError(f"{name} is empty: give at least one")
        self.ladder = check_ladder(_several("ladder", ladder))
        self.arms = check_arms(_several("arms", arms))
        self.at = self.ladder if at is None else check_ladder(sorted(set(_several("at", at))))
        for step in self.at:
            if step not in self.ladder:
                raise UserError(f"sparsity {step:g} is not on the ladder {list(self.ladder)}")
        self.options = {k: v for k, v in options.items() if v is not None}
        known = [f.name for f in fields(Settings) if f.name not in OWN]
        for name in self.options:
            if name not in known:
                raise UserError(f"unknown setting {name!r}: there are {', '.join(known)}")
        for name in {"widths", "kept_dense"} & set(self.options):
            self.options[name] = _several(name, self.options[name])
        self.store = store or results_of(dataset)
        self.wanted = device, threads  # as asked for; a worker's own choice where None
        self.jobs, self.client, self.per_gpu = jobs, client, per_gpu
        for name, value in (("jobs", jobs), ("per_gpu", per_gpu), ("threads", threads)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UserError(f"{name} {value!r} is not a whole number from 1")
        if jobs is not None and client is not None:
            raise UserError("jobs and client are two ways to train elsewhere: give one of them")
        if not self.is_elsewhere:
            self.device = use(device, threads)
        self.say = say
        self._unreadable: set[str] = set()
        self._waited: set[str] = set()
        for settings in self.plan():  # a mistake shows now, not after an hour
            if settings.score not in SCORES:
                raise UserError(f"unknown score {settings.score!r}: there are {', '.join(SCORES)}")
            if settings.ladder:
                self._check_sizes(settings)

    def _check_sizes(self, settings: Settings) -> None:
        """UserError if a mask would leave nothing to prune, or a layer without weights."""
        free = prunable(self._meta(settings, settings.vocabulary_size))
        sizes = {n: w.numel() for n, w in free.items() if n not in settings.kept_dense}
        for name in settings.kept_dense:
            if name not in free:
                raise UserError(
                    f"kept_dense {name!r} is no weight matrix of {settings.model}: there are "
                    f"{', '.join(free)}"
                )
        if not sizes:
            raise UserError("kept_dense names every weight matrix: leave one to be pruned")
        if settings.scope == "layer":
            check_room(sizes, settings.ladder, settings.output_rate)

    @property
    def is_elsewhere(self) -> bool:
        """Are the runs trained by Dask, and not in this process?"""
        return self.jobs is not None or self.client is not None

    # What to run

    def settings(self, model: str, arm: str, rung: int, seed: int) -> Settings:
        """The settings of one run of this study."""
        options = RECIPES.get((self.name, model), {}) | self.options
        return Settings(self.name, model, arm, self.ladder[:rung], seed, **options).checked()

    def plan(self, arms: Iterable[str] | None = None) -> list[Settings]:
        """The runs of `arms` (default: all of the study), each after those it stands on.

        The dense network is always among them: every comparison starts from it.
        """
        arms = self.arms if arms is None else check_arms(arms)
        runs: dict[str, Settings] = {}
        for model in self.models:
            for seed in self.seeds:
                chain = [self.settings(model, "dense", 0, seed)]
                for rung, step in enumerate(self.ladder, start=1):
                    chain += [
                        self.settings(model, arm, rung, seed)
                        for arm in sorted(arms, key="lt".__ne__)  # the next rung stands on lt
                        if arm != "dense" and step in self.at
                    ]
                runs |= {settings.run: settings for settings in chain}
        return list(runs.values())

    # Running

    def run(self, *arms: str) -> list[Record]:
        """Train what is missing of `arms` (default: all of the study); give all their records."""
        return run([self], arms)

    def run_here(self, pending: list[Settings]) -> None:
        """Train these runs one after the other in this process."""
        with stoppable(self.say), Bars(len(pending), self.dataset.title) as self._bars:
            while pending:
                pending = self._round(pending)

    def _round(self, pending: list[Settings]) -> list[Settings]:
        """Train each run once; give those that another process is at, after a while."""
        busy = []
        for settings in pending:
            try:
                with self.lock(settings):
                    if not self.there(settings):  # else another process was faster
                        self._train(settings)
            except Busy:
                busy.append(settings)
            except Diverged as error:
                self.say(f"{title(settings)}: stopped, {error}")
        if len(busy) == len(pending):
            if busy[0].run not in self._waited:
                self._waited.add(busy[0].run)
                self.say(f"{title(busy[0])}: another process is at it or below; waiting")
            time.sleep(1.0)
        return busy

    @contextmanager
    def lock(self, settings: Settings) -> Iterator[None]:
        """Hold a run against other processes; raises Busy at once if one of them holds it.

        The system frees the lock of a process that dies.
        """
        path = self.store.lock_path(settings)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire(timeout=0)
        except Timeout:
            raise Busy from None
        except OSError as error:
            raise unwritable(path, error) from None
        try:
            yield
        finally:
            lock.release()

    def there(self, settings: Settings) -> bool:
        """Is nothing to be done for this run? A record that cannot be read stays as it is."""
        try:
            return self.store.get(settings) is not None
        except UserError as error:
            if settings.run not in self._unreadable:
                self._unreadable.add(settings.run)
                self.say(str(error))
            return True

    def record(self, settings: Settings) -> Record | None:
        """The record of a run, None if there is none that can be read."""
        try:
            return self.store.get(settings)
        except UserError:
            return None

    def _weights_of(self, settings: Settings, epoch: str) -> tuple[Weights, Mask]:
        """A run's weights after its "last" or "best" epoch, and its mask: from its checkpoint,
        else by training it."""
        with suppress(checkpoints.Damaged):  # it is set aside under the lock, by one process
            if (loaded := self._loaded(settings, epoch)) is not None:
                return loaded
        with self.lock(settings):
            if (found := self.stored(settings, epoch)) is not None:
                return found
            self._bars.more()
            return apart(self._train(settings), epoch)

    def has_weights(self, settings: Settings) -> bool:
        """Is there nothing to be trained before another run can stand on this one?"""
        if not self.store.record_path(settings).exists():
            return False
        record = self.record(settings)
        failed = record is not None and record.failed
        return bool(failed) or self.store.weights_path(settings).exists()

    def stored(self, settings: Settings, epoch: str) -> tuple[Weights, Mask] | None:
        """The same of a finished run, None if it left none or damaged ones.

        Raises Diverged if the run failed.
        """
        try:
            return self._loaded(settings, epoch)
        except checkpoints.Damaged as error:
            self._set_aside(self.store.weights_path(settings), error)
            return None

    def _loaded(self, settings: Settings, epoch: str) -> tuple[Weights, Mask] | None:
        """What the checkpoint of a finished run holds; raises Damaged and Diverged."""
        self.check_failed(settings)
        path = self.store.weights_path(settings)
        if not path.exists() or not self.store.record_path(settings).exists():
            return None
        weights, mask = apart(self._read(path, run=settings.run), epoch)
        if not weights:
            raise checkpoints.Damaged(f"{path} lacks the weights of the {epoch} epoch")
        return weights, mask

    def check_failed(self, settings: Settings) -> None:
        """Raise Diverged if this run has a record that says it failed: nothing can stand on it."""
        record = self.record(settings)
        if record is not None and record.failed:
            raise Diverged(f"it stands on {title(settings)}: {record.failed}")

    def _read(self, path: Path, **of: object) -> Weights:
        """The tensors of a checkpoint of this run on these data; raises Damaged."""
        tensors, facts = checkpoints.load(path, **of)
        if facts.get("data") != self.corpus.fingerprint:
            raise UserError(
                f"{path}: was trained on other data ({str(facts.get('data'))[:12]}) than those of "
                f"now ({self.corpus.fingerprint[:12]}); use those, or another results folder"
            )
        return tensors

    def _set_aside(self, path: Path, error: checkpoints.Damaged) -> None:
        self.say(f"{error}; it is set aside and trained again")
        checkpoints.set_aside(path)

    def _train(self, settings: Settings) -> Weights:
        """Train one run here and keep what it leaves."""
        task = task_of(settings, self._weights_of, self._rewound)
        with self._bars.run(title(settings), settings.epochs) as progress:
            state = self.store.state_path(settings)
            record, tensors = perform(task, self.corpus, self.device, progress, state, self.say)
            self.keep(record, tensors)
        if record.failed:
            raise Diverged(record.failed)
        return tensors

    def keep(self, record: Record, tensors: Weights) -> None:
        """Put a finished run into the store; its state is needed no more.

        Weights are kept where a further rung would stand on them. UserError if there is a record
        already, which stays, and this one is further from it than rounding can explain.
        """
        needed = record.settings.is_stood_on and not record.failed
        self._put(record, tensors if needed else None)
        self.store.state_path(record.settings).unlink(missing_ok=True)

    def _put(self, record: Record, tensors: Weights | None = None) -> None:
        """Keep weights and record; hold them against a record there is already, which stays.

        The weights come first, so that a run with a record is a run with weights.
        """
        path = self.store.record_path(record.settings)
        if (before := self.record(record.settings)) is not None:
            _hold_against(before, record, path)
        if tensors is not None:
            facts = {"run": record.run, "data": record.data["fingerprint"]}
            checkpoints.save(self.store.weights_path(record.settings), tensors, facts)
        if not path.exists():
            self.store.put(record)

    def _rewound(self, dense: Settings, step: int) -> Weights:
        """θₖ of a dense run, made here if no file holds it."""
        found = self.kept_rewound(dense, step)
        if found is None:
            found = rewound(dense, self.corpus, step, self.device)
            self.keep_rewound(dense, step, found)
        return found

    def kept_rewound(self, dense: Settings, step: int) -> Weights | None:
        """θₖ of a dense run as its file holds it; a damaged one is set aside."""
        path = self.store.rewound_path(dense, step)
        if not path.exists():
            return None
        try:
            return self._read(path, run=dense.run, step=step)
        except checkpoints.Damaged as error:
            self._set_aside(path, error)
            return None

    def keep_rewound(self, dense: Settings, step: int, weights: Weights) -> None:
        """Put θₖ of a dense run into its file."""
        facts = {"run": dense.run, "step": step, "data": self.corpus.fingerprint}
        checkpoints.save(self.store.rewound_path(dense, step), weights, facts)

    # What it runs on

    @cached_property
    def corpus(self) -> Corpus:
        """The dataset's texts as token ids, uncut."""
        settings = self.settings(self.models[0], "dense", 0, self.seeds[0])
        return corpora.load(
            self.name,
            split_seed=settings.split_seed,
            vocabulary_size=settings.vocabulary_size,
            say=self.say,
        )

    def _meta(self, settings: Settings, words: int) -> dict[str, torch.Tensor]:
        """The shapes of a model's tensors, without their memory."""
        with torch.device("meta"):
            model = models.build(settings, words, self.dataset.logits)
        return dict(model.named_parameters())

    def parameters(self, model: str) -> pd.DataFrame:
        """One row per tensor of a model: name, shape, weights, how many of them can be pruned."""
        settings = self.settings(model, "dense", 0, self.seeds[0])
        weights = self._meta(settings, len(self.corpus.vocabulary))
        free = {name: part.numel() for name, part in prunable(weights).items()}
        rows = [
            (name, " × ".join(map(str, w.shape)), w.numel(), free.get(name, 0))
            for name, w in weights.items()
        ]
        rows.append(("all", "", sum(row[2] for row in rows), sum(row[3] for row in rows)))
        return pd.DataFrame(rows, columns=["tensor", "shape", "weights", "prunable"])

    def report(self) -> Path:
        """Write the tables, the figures and the report from the store's records."""
        from lottery.report import page as report

        return report.write(self.store, say=self.say)


def run(studies: Sequence[Study], arms: Iterable[str] = ()) -> list[Record]:
    """Train what is missing of `arms` (default: all of each study); give all their records.

    Where it is trained is said by the first study; elsewhere, all studies are one graph.
    """
    planned = [(study, study.plan(arms or None)) for study in studies]
    asked = [(study, [s for s in runs if not study.there(s)]) for study, runs in planned]
    asked = [(study, runs) for study, runs in asked if runs]
    for study, runs in asked:  # before the dense network is trained for a step it has not
        for settings in runs:
            check_step(settings, study.corpus)
    if asked and studies[0].is_elsewhere:
        try:
            from lottery import cluster  # Dask is imported by those alone who use it
        except ImportError as error:
            raise UserError(f"{error}: install this project's extra `cluster`") from None
        first = studies[0]
        with stoppable(first.say):
            cluster.run(asked, first.jobs, first.client, first.per_gpu, first.say)
    else:
        for study, runs in asked:
            study.run_here(runs)
    found = [study.record(settings) for study, runs in planned for settings in runs]
    return [record for record in found if record is not None and not record.failed]


def check_arms(arms: Iterable[str]) -> tuple[str, ...]:
    """`arms` as a tuple, or a UserError that names the first that there is not."""
    for name in (arms := tuple(arms)):
        if not isinstance(name, str) or name not in ARMS:
            raise UserError(f"unknown arm {name!r}: there are {', '.join(ARMS)}")
    return arms


def _several(name: str, values: Iterable) -> tuple:
    """A list that a person wrote, as a tuple; UserError for a single value."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UserError(f"{name} {values!r} is not a list: write [{values!r}]")
    return tuple(values)


@contextmanager
def stoppable(say) -> Iterator[None]:
    """Say what is kept when the work is interrupted."""
    try:
        yield
    except (KeyboardInterrupt, SystemError) as error:
        # An interrupt at the wrong moment leaves numba's dispatcher as a SystemError.
        stop = error if isinstance(error, KeyboardInterrupt) else error.__cause__
        if not isinstance(stop, KeyboardInterrupt):
            raise
        say(
            "stopped: finished runs are kept, and those at work up to their last finished epoch; "
            "run the same again to go on"
        )
        raise stop from None


def results_of(dataset: str) -> Store:
    """Where a dataset's records are kept: `results/`, apart from those of generated corpora."""
    folder = root() / "results"
    return Store(folder / "demo" if DATASETS[dataset].generated else folder)


def _hold_against(before: Record, again: Record, path: Path) -> None:
    """UserError if a run trained again is further from its record than rounding can explain."""
    same = before.failed == again.failed and (
        before.failed
        or (
            abs(before.test_accuracy - again.test_accuracy) <= ACCURACY_TOLERANCE
            and abs(before.test_loss - again.test_loss) <= LOSS_TOLERANCE
        )
    )
    if not same:
        raise UserError(
            f"{path}: trained again, the run has {again.outcome}, but the record says "
            f"{before.outcome}; code or data changed: move the old records away"
        )
