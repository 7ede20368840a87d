"""The front door: a plan, a shelf and an engine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lottery import data
from lottery.cluster.graph import Work
from lottery.data import DATASETS, Corpus, Own
from lottery.experiment.bars import Bars
from lottery.experiment.ladder import climb
from lottery.experiment.plan import planned, shapes, without_effect
from lottery.experiment.run import check_step, rewound
from lottery.experiment.shard import ONLY, Shard, chains
from lottery.experiment.shelf import Busy, DiskShelf
from lottery.files import UserError, amount, check_writable, root, shown
from lottery.pruning.masks import Mask, prunable
from lottery.pruning.tickets import Weights
from lottery.runs.provenance import code, commit
from lottery.runs.record import Record
from lottery.runs.store import Store
from lottery.settings import Settings, Whole, title
from lottery.training.device import use
from lottery.training.interrupts import unwrapped
from lottery.training.train import Diverged

if TYPE_CHECKING:  # half a second to import, which a process that trains does not need
    import pandas as pd

LONGEST_PAUSE = 30.0  # seconds between two looks whether another process is done

FAILED = "{run}: failed before, {why}; to try again, move {place} away"
NO_SHARE = (
    "shard {shard}: nothing to do, for all there is to share is {chains}, a model and a seed each"
)


class Study:
    """The runs of one dataset: every model, seed, rung and arm asked for, and what they stand on.

    `dataset` is a name in `data.DATASETS`, or a corpus of your own as `data.from_frame` gives it,
    whose results go to `results/<its name>`.

    `options` are further fields of `Settings`; where one is missing or None, the dataset's recipe
    holds. Nothing is read or trained before it is needed. With `source`, the arms called
    `transferred` take the masks of that dataset's ladder, which is trained first where it is not.

    With `at`, the arms are trained at these sparsities of the ladder alone, and below them only
    what they stand on.

    Runs are trained in this process; or with `jobs` on so many processes of this machine, one
    thread each; or on the Dask cluster of `client`, a `distributed.Client` or a scheduler's
    address, with `per_gpu` runs at a time on each GPU that its workers offer.

    Raises UserError for what is no dataset, arm or setting, or out of bounds.
    """

    def __init__(
        self,
        dataset: str | Own,
        models: Iterable[str] = ("cnn", "lstm"),
        ladder: Iterable[float] = (0.5,),
        arms: Iterable[str] = ("lt", "random"),
        seeds: Iterable[int] = (0,),
        *,
        at: Iterable[float] | None = None,
        store: Store | Path | str | None = None,
        device: str | None = None,
        threads: int | None = None,
        jobs: int | None = None,
        client=None,
        per_gpu: int = 1,
        say=print,
        **options,
    ) -> None:
        self.asked = planned(dataset, models, ladder, arms, seeds, at, options)
        self.texts, self.dataset = dataset, data.known(dataset)
        for name, value in (("jobs", jobs), ("per_gpu", per_gpu), ("threads", threads)):
            if value is not None:
                Whole(1, 10_000)(name, value)
        if (
            client is not None
            and not isinstance(client, str)
            and not hasattr(client, "scheduler_info")
        ):
            raise UserError(
                f"client {shown(client)} is no distributed.Client and no scheduler's address"
            )
        if jobs is not None and client is not None:
            raise UserError("jobs and client are two ways to train elsewhere: give one of them")
        self.wanted = device, threads  # as asked for; a worker's own choice where None
        self.jobs, self.client, self.per_gpu = jobs, client, per_gpu
        if not self.is_elsewhere:
            self.device = use(device, threads)
        self.say = say
        for line in without_effect(self.asked):
            say(line)
        self.lacking: list[Settings] = []  # of the runs last asked for: failed, or on one that did
        store = results_of(dataset) if store is None else store
        store = store if isinstance(store, Store) else Store(store)
        self.abroad: dict[str, Corpus] = {}  # other datasets, whose tickets give masks
        self.shelf = DiskShelf(store, lambda settings: self.corpora(settings).fingerprint, say)

    @property
    def store(self) -> Store:
        """The results folder."""
        return self.shelf.store

    @property
    def is_elsewhere(self) -> bool:
        """Are the runs trained by Dask, and not in this process?"""
        return self.jobs is not None or self.client is not None

    @cached_property
    def device(self) -> torch.device:
        """Where this process trains; chosen when first asked for if it is a study's elsewhere."""
        return use(*self.wanted)

    def settings(self, model: str, arm: str, rung: int, seed: int) -> Settings:
        """The settings of one run of this study."""
        return self.asked.settings(model, arm, rung, seed)

    def plan(self, arms: Iterable[str] | None = None) -> list[Settings]:
        """The runs of `arms` (default: all of the study), each after those it stands on."""
        return self.asked.runs(arms)

    def run(self, *arms: str, shard: str | Shard = ONLY) -> list[Record]:
        """Train what is missing of `arms` (default: all of the study); give all their records.

        With a `shard`, as "1/4", of this share of the chains alone.
        """
        return run_all([self], arms, Shard.read(shard))

    def records(self, runs: Iterable[Settings] | None = None) -> list[Record]:
        """The records that are there of `runs` (default: all of the study). Trains nothing."""
        runs = self.plan() if runs is None else runs
        own = [s for s in runs if s.dataset == self.asked.dataset]  # not those that gave a mask
        found = map(self.shelf.record, own)
        return [record for record in found if record is not None and not record.failed]

    def failed(self, runs: Iterable[Settings] | None = None) -> list[Record]:
        """The records that are there of those of `runs` (default: all of the study) that failed."""
        runs = self.plan() if runs is None else runs
        found = map(self.shelf.record, runs)
        return [record for record in found if record is not None and record.failed]

    def run_here(self, pending: Sequence[Settings]) -> None:
        """Train these runs one after the other in this process."""
        waited, pause = set(), 1.0
        with stoppable(self.say), Bars(len(pending), self.dataset.title) as bars:
            while pending:
                undone = self.climb(pending, bars)
                for settings, why in undone.items():
                    if isinstance(why, Diverged):
                        self.say(f"{title(settings)}: failed, {why}")
                busy = [settings for settings, why in undone.items() if isinstance(why, Busy)]
                if len(busy) == len(pending):
                    if busy[0].run not in waited:
                        waited.add(busy[0].run)
                        self.say(f"{title(busy[0])}: another process is at it or below; waiting")
                    time.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                else:
                    pause = 1.0
                pending = busy

    def climb(self, runs: Sequence[Settings], bars: Bars) -> dict[Settings, Busy | Diverged]:
        """Train each of these once, and what it stands on where that is gone."""
        with self.shelf.mended(partial(self._again, bars)):
            return climb(runs, self.shelf, self.corpora, self.device, bars.run, self.say)

    def _again(self, bars: Bars, settings: Settings, step: int) -> None:
        """Train what is gone of a run: θₖ of a dense one, or its weights (step 0)."""
        if step:
            weights = rewound(settings, self.corpora(settings), step, self.device)
            self.shelf.keep_rewound(settings, step, weights)
            return
        bars.more(settings)
        for why in self.climb([settings], bars).values():
            if isinstance(why, Diverged):
                why = Diverged(f"it stands on {title(settings)}: {why}")
            raise why

    def tested(self, settings: Settings) -> tuple[Weights, Mask]:
        """The network that a finished run was tested with, and its mask.

        Trained again if its weights are gone; UserError if the run failed, or another process is
        at that.
        """
        record = self.shelf.record(settings)
        if record is not None and record.failed:
            raise UserError(f"{title(settings)}: {record.failed}")
        with stoppable(self.say), Bars(0, self.dataset.title) as bars:
            try:
                with self.shelf.mended(partial(self._again, bars)):
                    return self.shelf.tested(settings)
            except Diverged as error:
                raise UserError(f"{title(settings)}: {error}") from None
            except Busy:
                raise UserError(
                    f"{title(settings)}: its weights are gone, and another process is at it or "
                    f"below; try again when that is done"
                ) from None

    @cached_property
    def corpus(self) -> Corpus:
        """The dataset's texts as token ids, uncut."""
        return data.load(self.texts, **self._about, say=self.say)

    @cached_property
    def _about(self) -> dict[str, int]:
        return self.settings(self.asked.models[0], "dense", 0, self.asked.seeds[0]).of_corpus

    def corpora(self, settings: Settings) -> Corpus:
        """The texts of one of this study's runs: its own, or those of a mask's source.

        UserError for a run whose texts are divided or numbered otherwise than this study's.
        """
        name, about = settings.dataset, settings.of_corpus
        if name == self.asked.dataset:
            for field, value in about.items():
                if value != (own := self._about[field]):
                    raise UserError(
                        f"{title(settings)}: its {field} is {value}, this study's {own}: make a "
                        f"Study with {field}={value}"
                    )
            return self.corpus
        if name not in self.abroad:
            self.abroad[name] = data.load(name, **about, say=self.say)
        return self.abroad[name]

    def parameters(self, model: str) -> pd.DataFrame:
        """One row per tensor of a model: name, shape, weights, how many of them can be pruned."""
        import pandas as pd

        settings = self.settings(model, "dense", 0, self.asked.seeds[0])
        weights = shapes(settings, len(self.corpus.vocabulary), self.corpus.outputs)
        free = {name: part.numel() for name, part in prunable(weights).items()}
        rows = [
            (name, " × ".join(map(str, w.shape)), w.numel(), free.get(name, 0))
            for name, w in weights.items()
        ]
        rows.append(("all", "", sum(row[2] for row in rows), sum(row[3] for row in rows)))
        return pd.DataFrame(rows, columns=["tensor", "shape", "weights", "prunable"])

    def check_folder(self) -> None:
        """UserError if the results folder holds runs of other texts than these.

        A corpus from outside has a folder of its own, and records of what its files held before are
        not mixed with those of now.
        """
        name, folder = self.asked.dataset, self.store.root
        there = [other for other in self.store.datasets() if other != name]
        if isinstance(self.texts, Own):
            if there:
                raise UserError(
                    f"{folder}: holds runs of {there[0]}; {name} needs a results folder of its own"
                )
            for record in self.store.records(name)[0]:
                if record.data["fingerprint"] != self.corpus.fingerprint:
                    raise UserError(
                        f"{folder}: was made with other texts or shares "
                        f"({record.data['fingerprint'][:12]}) than those of now "
                        f"({self.corpus.fingerprint[:12]}); give these another --name, or move it"
                    )
        elif other := [name for name in there if name not in DATASETS]:
            self.store.read(self.store.paths(other[0])[0])  # a stray file is named itself
            raise UserError(f"{folder}: belongs to {other[0]}; name another results folder")

    def report(self) -> Path:
        """Write the tables, the figures and the report from the store's records."""
        from lottery.report import page  # matplotlib takes its time

        if isinstance(self.texts, Own) and not self.store.paths():
            raise UserError(f"{self.texts.name}: has no record yet; run it first")
        return page.write(self.store, say=self.say)


def run_all(
    studies: Sequence[Study], arms: Iterable[str] = (), shard: Shard = ONLY
) -> list[Record]:
    """Train what is missing of `arms` (default: all of each study); give all their records.

    The first study says where to train; on a cluster all studies are one graph. With a `shard`, of
    its share of the runs alone.
    """
    commit(), code()  # read now: what runs, whatever is edited in the hours before they are asked
    planned = shared_out(studies, arms, shard)
    for study, runs in planned:
        for record in study.failed(runs):
            place = study.store.record_path(record.settings)
            study.say(FAILED.format(run=title(record.settings), why=record.failed, place=place))
    asked = [(study, [s for s in runs if not study.shelf.is_done(s)]) for study, runs in planned]
    asked = [(study, runs) for study, runs in asked if runs]
    for study, runs in asked:  # before texts are read, and trained on for hours
        for keep in (study.store.record_path, study.store.state_path):
            for folder in {keep(settings).parent for settings in runs}:
                check_writable(folder)
    for study, runs in asked:  # before the dense network is trained for a step it has not
        for settings in runs:
            check_step(settings, study.corpora(settings))
    if asked and studies[0].is_elsewhere:
        try:
            from lottery.cluster import caller  # Dask is imported by those alone who use it
        except ImportError as error:
            raise UserError(f"{error}: install this project's extra `cluster`") from None
        first = studies[0]
        with stoppable(first.say):
            work = [Work(s.shelf, runs, s.corpora, s.wanted) for s, runs in asked]
            caller.train(work, first.jobs, first.client, first.per_gpu, first.say)
    else:
        for study, runs in asked:
            study.run_here(runs)
    for study, runs in planned:
        failed = {record.run for record in study.failed(runs)}
        study.lacking = [s for s in runs if s.run in failed or not study.shelf.is_done(s)]
    return [record for study, runs in planned for record in study.records(runs)]


def outlook(studies: Sequence[Study], shard: Shard = ONLY) -> list[str]:
    """Lines that say what `run_all` would train, and how long that would take. Trains nothing.

    UserError for what `run_all` would refuse.
    """
    from lottery.upkeep.forecast import forecast

    planned = shared_out(studies, (), shard)
    for study, runs in planned:
        for settings in runs:
            if settings.rewind_step and not study.shelf.is_done(settings):  # else no text is read
                check_step(settings, study.corpora(settings))
    device = studies[0].device.type if studies[0].client is None else ""  # workers' is not known
    return forecast((Work(study.shelf, runs, study.corpora) for study, runs in planned), device)


def shared_out(
    studies: Sequence[Study], arms: Iterable[str], shard: Shard
) -> list[tuple[Study, list[Settings]]]:
    """Each study's runs of `arms` (default: all), those of this share. UserError: `check_folder`"""
    planned = [(study, study.plan(arms or None)) for study in studies]
    many = {*map(chains(planned), (settings for _, runs in planned for settings in runs))}
    planned = [(study, runs) for study, runs in shard.of(planned) if runs]
    if not planned:
        studies[0].say(NO_SHARE.format(shard=shard, chains=amount(len(many), "chain", "chains")))
    for study, _ in planned:
        study.check_folder()
    return planned


@contextmanager
def stoppable(say) -> Iterator[None]:
    """Say what is kept when the work is interrupted."""
    try:
        with unwrapped():
            yield
    except KeyboardInterrupt:
        say(
            "stopped: finished runs are kept, and those at work up to their last finished epoch; "
            "run the same again to go on"
        )
        raise


def results_of(dataset: str | Own) -> Store:
    """Where a dataset's records are kept: `results/`, apart from those of generated corpora.

    Those of a corpus from outside are in a folder of its name.
    """
    folder = root() / "results"
    if isinstance(dataset, Own):
        return Store(folder / dataset.name)
    return Store(folder / "demo" if DATASETS[dataset].generated else folder)
