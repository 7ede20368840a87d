"""Ladder x arms x seeds: what to run, and what is there already."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from pathlib import Path

import numba
import pandas as pd
import torch
from filelock import FileLock, Timeout

from lottery import checkpoints, models
from lottery import corpus as corpora
from lottery.corpus import DATASETS, Corpus
from lottery.files import UserError, root, unwritable
from lottery.models.vectors import VECTOR_BITS
from lottery.progress import Bars
from lottery.pruning.masks import Mask, check_room, counts, full_mask, prunable, prune
from lottery.pruning.scores import SCORES
from lottery.pruning.tickets import ARMS, Origins, Ticket, Weights
from lottery.results import Record, Store, pack
from lottery.settings import RECIPES, Settings, check_ladder, title
from lottery.training import Diverged, Kept, advance, train, use

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
        self.options = {k: v for k, v in options.items() if v is not None}
        self.store = store or results_of(dataset)
        self.device = use(device, threads)
        self.say = say
        self._unreadable: set[str] = set()
        self._waited: set[str] = set()
        for settings in self.plan():  # a mistake shows now, not after an hour
            if settings.score not in SCORES:
                raise UserError(f"unknown score {settings.score!r}: there are {', '.join(SCORES)}")
            if settings.scope == "layer" and settings.ladder:
                sizes = {
                    n: w.numel()
                    for n, w in prunable(self._meta(settings, settings.vocabulary_size)).items()
                }
                check_room(sizes, settings.ladder, settings.output_rate)

    # What to run

    def settings(self, model: str, arm: str, rung: int, seed: int) -> Settings:
        """The settings of one run of this study."""
        options = RECIPES.get((self.name, model), {}) | self.options
        try:
            made = Settings(self.name, model, arm, self.ladder[:rung], seed, **options)
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
        pending = [settings for settings in planned if not self._there(settings)]
        if pending:
            with Bars(len(pending), self.dataset.title) as self._bars:
                try:
                    while pending:
                        pending = self._round(pending)
                except (KeyboardInterrupt, SystemError) as error:
                    # An interrupt at the wrong moment leaves numba's dispatcher as a SystemError.
                    stop = error if isinstance(error, KeyboardInterrupt) else error.__cause__
                    if not isinstance(stop, KeyboardInterrupt):
                        raise
                    self.say(
                        "stopped: finished runs are kept, and the one at work up to its last "
                        "finished epoch; run the same again to go on"
                    )
                    raise stop from None
        found = [self._record(settings) for settings in planned]
        return [record for record in found if record is not None and not record.failed]

    def _round(self, pending: list[Settings]) -> list[Settings]:
        """Train each run once; give those that another process is at, after a while."""
        busy = []
        for settings in pending:
            try:
                with self._lock(settings):
                    if not self._there(settings):  # else another process was faster
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
    def _lock(self, settings: Settings) -> Iterator[None]:
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

    def _there(self, settings: Settings) -> bool:
        """Is nothing to be done for this run? A record that cannot be read stays as it is."""
        try:
            return self.store.get(settings) is not None
        except UserError as error:
            if settings.run not in self._unreadable:
                self._unreadable.add(settings.run)
                self.say(str(error))
            return True

    def _record(self, settings: Settings) -> Record | None:
        try:
            return self.store.get(settings)
        except UserError:
            return None

    def _weights_of(self, settings: Settings) -> tuple[Weights, Mask]:
        """Trained weights and mask of a run: from its checkpoint, else by training it."""
        with suppress(checkpoints.Damaged):  # it is set aside under the lock, by one process
            if (loaded := self._loaded(settings)) is not None:
                return loaded
        with self._lock(settings):
            try:
                if (loaded := self._loaded(settings)) is not None:
                    return loaded
            except checkpoints.Damaged as error:
                self._set_aside(self.store.weights_path(settings), error)
            return self._train(settings)

    def _loaded(self, settings: Settings) -> tuple[Weights, Mask] | None:
        """What the checkpoint of a finished run holds; raises Damaged."""
        record = self._record(settings)
        if record is not None and record.failed:
            raise Diverged(f"it stands on {title(settings)}: {record.failed}")
        path = self.store.weights_path(settings)
        if not path.exists() or not self.store.record_path(settings).exists():
            return None
        return _apart(self._read(path, run=settings.run))

    def _read(self, path: Path, **of: object) -> Weights:
        """The tensors of a checkpoint of this run on these data; raises Damaged."""
        tensors, facts = checkpoints.load(path)
        if any(facts.get(name) != value for name, value in of.items()) or "data" not in facts:
            raise checkpoints.Damaged(f"{path} is of another run")
        if facts["data"] != self.corpus.fingerprint:
            raise UserError(
                f"{path}: was trained on other data ({facts['data'][:12]}) than those of now "
                f"({self.corpus.fingerprint[:12]}); use those, or another results folder"
            )
        return tensors

    def _set_aside(self, path: Path, error: checkpoints.Damaged) -> None:
        self.say(f"{error}; it is set aside and trained again")
        checkpoints.set_aside(path)

    def _train(self, settings: Settings) -> tuple[Weights, Mask]:
        """Train one run and keep what it leaves; hold it against its record if there is one."""
        ticket = self._ticket(settings)
        of = {
            "settings": settings.to_json(),
            "ticket": checkpoints.digest(ticket.weights | _named(ticket.mask or {})),
            "data": self.corpus.fingerprint,
            "device": _device_name(self.device),
            "versions": _versions(),
        }
        kept = Kept(self.store.state_path(settings), of, self.say)
        with self._bars.run(title(settings), settings.epochs) as progress:
            corpus, model = self._cut(settings), self._model(settings)
            mask = ticket.mask or full_mask(ticket.weights)
            try:
                outcome = train(model, ticket, corpus, settings, self.device, progress, kept)
            except Diverged as error:
                self._put(
                    self._facts(settings, mask, corpus, history=error.history, failed=str(error))
                )
                kept.forget()
                raise
        record = self._facts(
            settings,
            mask,
            corpus,
            history=outcome.history,
            best_epoch=outcome.best_epoch,
            test_loss=outcome.test_loss,
            test_accuracy=outcome.test_accuracy,
            test_correct=pack(outcome.correct),
            seconds=outcome.seconds,
        )
        needed = settings.arm in ("dense", "lt")  # a further rung would stand on it
        self._put(record, _named(mask) | outcome.weights if needed else None)
        kept.forget()
        return outcome.weights, mask

    def _put(self, record: Record, tensors: Weights | None = None) -> None:
        """Keep weights and record; hold them against a record there is already, which stays.

        The weights come first, so that a run with a record is a run with weights.
        """
        path = self.store.record_path(record.settings)
        if (before := self._record(record.settings)) is not None:
            _hold_against(before, record, path)
        if tensors is not None:
            facts = {"run": record.run, "data": record.data["fingerprint"]}
            checkpoints.save(self.store.weights_path(record.settings), tensors, facts)
        if not path.exists():
            self.store.put(record)

    def _ticket(self, settings: Settings) -> Ticket:
        """What the run starts from; trains the rung below if its weights are not there."""
        if settings.arm != "dense":  # first, because another process may be at it
            trained, mask = self._weights_of(self._below(settings))
        model = self._model(settings)
        first = models.draw(model, settings.stream("first weights"))
        if settings.arm == "dense":
            return ARMS["dense"](Origins(first))
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
        of = {"run": dense.run, "step": settings.rewind_step}
        if path.exists():
            try:
                return self._read(path, **of)
            except checkpoints.Damaged as error:
                self._set_aside(path, error)
        weights = advance(
            self._model(dense), first, self._cut(dense), dense, settings.rewind_step, self.device
        )
        checkpoints.save(path, weights, of | {"data": self.corpus.fingerprint})
        return weights

    def _facts(self, settings: Settings, mask: Mask, corpus: Corpus, **figures) -> Record:
        """A record of `figures` with everything around them."""
        return Record(
            settings=settings,
            layers=counts(mask),
            device=_device_name(self.device),
            threads=numba.get_num_threads(),
            versions=_versions(),
            commit=_commit(),
            data={
                "source": corpus.source,
                "fingerprint": corpus.fingerprint,
                "generated": corpus.generated,
                "repeated_texts": corpus.facts["repeated_texts"],
                "rows": {n: len(getattr(corpus, n)) for n in ("train", "valid", "test")},
            },
            **figures,
        )

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

    def _cut(self, settings: Settings) -> Corpus:
        if getattr(self, "_cut_at", None) != settings.max_tokens:
            self._cut_at = settings.max_tokens
            cut = {n: getattr(self.corpus, n).cut(self._cut_at) for n in ("train", "valid", "test")}
            self._cut_corpus = replace(self.corpus, **cut)
        return self._cut_corpus

    def _model(self, settings: Settings) -> torch.nn.Module:
        return models.build(settings, len(self.corpus.vocabulary), self.dataset.logits)

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
        from lottery import report

        return report.write(self.store, say=self.say)


def results_of(dataset: str) -> Store:
    """Where a dataset's records are kept: `results/`, apart from those of generated corpora."""
    folder = root() / "results"
    return Store(folder / "demo" if DATASETS[dataset].generated else folder)


def _named(mask: Mask) -> Weights:
    """The mask as tensors that can stand beside the weights."""
    return {f"mask/{name}": part for name, part in mask.items()}


def _apart(tensors: Weights) -> tuple[Weights, Mask]:
    """The weights and the mask of a checkpoint."""
    mask = {n.removeprefix("mask/"): t for n, t in tensors.items() if n.startswith("mask/")}
    return {n: t for n, t in tensors.items() if not n.startswith("mask/")}, mask


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


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    # The width of the vectors orders the sums, and so decides the last bits.
    return f"{device.type} ({platform.machine()}, {VECTOR_BITS}-bit vectors)"


def _versions() -> dict[str, str]:
    names = ("lottery", "torch", "numpy", "numba", "llvmlite")
    return {"python": platform.python_version()} | {n: metadata.version(n) for n in names}


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
