"""Where a run finds what it stands on, and where it puts what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from filelock import FileLock, Timeout

from lottery import files
from lottery.files import Damaged, UserError, unwritable
from lottery.pruning.arms import ARMS
from lottery.pruning.masks import Mask
from lottery.pruning.tickets import Weights
from lottery.runs.checkpoints import packed, tested, unbundle, unpacked
from lottery.runs.compare import is_near, is_same
from lottery.runs.record import Record
from lottery.runs.store import Store
from lottery.settings import Settings, title
from lottery.training.train import Diverged

T = TypeVar("T")

AGAIN = (
    "{path}: trained again, the run has {again}; its record, of another machine, a GPU or other "
    "code, says {before} and stays"
)


class Busy(Exception):
    """Another process is at this run."""


class Gone(Exception):
    """Weights that a run stands on are not there (any more)."""


class Below(Protocol):
    """What a run stands on. `DiskShelf` reads it from a disk; a worker may have been sent it."""

    def trained(self, settings: Settings, epoch: str) -> tuple[Weights, Mask]:
        """A finished run's weights after its "last" or "best" epoch, and its mask.

        Raises Gone, and Diverged if the run failed.
        """

    def rewound(self, dense: Settings, step: int) -> Weights:
        """θₖ, the weights of a dense run after `step` steps; raises Gone."""


class Shelf(Below, Protocol):
    """What `ladder.climb` asks: of a `DiskShelf`, on a worker of its own."""

    def is_done(self, settings: Settings) -> bool:
        """Is nothing to be done for this run?"""

    def hold(self, settings: Settings) -> AbstractContextManager[None]:
        """Hold a run against other processes; raises Busy at once if one of them is at it."""

    def state(self, settings: Settings) -> Path | None:
        """Where an unfinished run's state lies; None: nothing is kept between epochs."""

    def keep(self, record: Record, tensors: Weights) -> None:
        """Take what a finished run leaves."""


class DiskShelf:
    """A results folder. Several processes may use it at once.

    `fingerprint` gives that of a run's corpus: weights of another are refused.
    """

    def __init__(
        self,
        store: Store,
        fingerprint: Callable[[Settings], str],
        say: Callable[[str], object] = print,
    ) -> None:
        self.store, self.fingerprint, self.say = store, fingerprint, say
        self.unreadable: set[str] = set()
        self._again: Callable[[Settings, int], None] | None = None
        self._gone: set[str] = set()  # runs with a record whose weights are gone

    @contextmanager
    def mended(self, again: Callable[[Settings, int], None]) -> Iterator[None]:
        """Within, what is gone is trained once more: `again(run, step)`; step 0: a run, else θₖ."""
        before, self._again = self._again, again
        try:
            yield
        finally:
            self._again = before

    def is_done(self, settings: Settings) -> bool:
        """Is there a record? One that cannot be read counts, is left alone and named once."""
        if settings.run in self._gone and not self._has_all(settings):
            return False
        try:
            return self.store.get(settings) is not None
        except UserError as error:
            if settings.run not in self.unreadable:
                self.unreadable.add(settings.run)
                self.say(str(error))
            return True

    @contextmanager
    def hold(self, settings: Settings) -> Iterator[None]:
        """The system frees the lock of a process that dies."""
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

    def record(self, settings: Settings) -> Record | None:
        """The record of a run, None if there is none that can be read."""
        try:
            return self.store.get(settings)
        except UserError:
            return None

    def check_failed(self, settings: Settings) -> None:
        """Raise Diverged if this run has a record that says it failed: nothing can stand on it."""
        record = self.record(settings)
        if record is not None and record.failed:
            raise Diverged(f"it stands on {title(settings)}: {record.failed}")

    def has_weights(self, settings: Settings, step: int = 0) -> bool:
        """Is there nothing to be trained before another run can stand on this one (on its θₖ)?"""
        if step:
            return self.store.rewound_path(settings, step).exists()
        if not self.store.record_path(settings).exists():
            return False
        record = self.record(settings)
        failed = record is not None and record.failed
        return bool(failed) or self.store.weights_path(settings).exists()

    def trained(self, settings: Settings, epoch: str) -> tuple[Weights, Mask]:
        return self._or_again(partial(self._trained, settings, epoch), settings)

    def tested(self, settings: Settings) -> tuple[Weights, Mask]:
        """The weights that a finished run was tested with, and its mask, of every arm.

        Raises Gone, and Diverged if the run failed.
        """
        return self._or_again(partial(self._tested, settings), settings)

    def rewound(self, dense: Settings, step: int) -> Weights:
        path = self.store.rewound_path(dense, step)
        return self._or_again(lambda: self._load(path, dense, step=step)[0], dense, step)

    def _or_again(self, get: Callable[[], T], run: Settings, step: int = 0) -> T:
        """`get()`; if what it reads is gone, once more after it has been trained again."""
        try:
            return get()
        except Gone:
            if self._again is None:
                raise
        if not step:
            self._gone.add(run.run)
        self._again(run, step)
        return get()

    def _tested(self, settings: Settings) -> tuple[Weights, Mask]:
        self.check_failed(settings)
        path = self.store.tested_path(settings)
        if not path.exists() and ARMS[settings.arm].climbs:  # left by an older version
            return self._trained(settings, "best")
        tensors, facts = self._load(path, settings)
        shapes = facts.get("shapes", {})
        small = {name: (shapes[name], part.numpy()) for name, part in tensors.items()}
        return unbundle(unpacked(small), "best")

    def _has_all(self, settings: Settings) -> bool:
        """Is nothing gone of what a run with a record leaves?"""
        climbs = ARMS[settings.arm].climbs
        has_tested = self.store.tested_path(settings).exists()
        return has_tested and (not climbs or self.has_weights(settings))

    def _trained(self, settings: Settings, epoch: str) -> tuple[Weights, Mask]:
        self.check_failed(settings)
        if not self.store.record_path(settings).exists():
            raise Gone
        path = self.store.weights_path(settings)
        tensors = self._load(path, settings)[0]
        weights, mask = unbundle(tensors, epoch)
        if not weights:
            self._set_aside(path, Damaged(f"{path} lacks the weights of the {epoch} epoch"))
        return weights, mask

    def keep_rewound(self, dense: Settings, step: int, weights: Weights) -> None:
        """Put θₖ of a dense run into its file."""
        facts = {"run": dense.run, "step": step, "data": self.fingerprint(dense)}
        files.save(self.store.rewound_path(dense, step), weights, facts)

    def _load(self, path: Path, of: Settings, **more: object) -> tuple[Weights, dict[str, Any]]:
        """Tensors and facts of a file of this run on these data; raises Gone."""
        if not path.exists():
            raise Gone
        try:
            tensors, facts = files.load(path, run=of.run, **more)
        except Damaged as error:
            self._set_aside(path, error)
        if facts.get("data") != (print_ := self.fingerprint(of)):
            raise UserError(
                f"{path}: was trained on other data ({str(facts.get('data'))[:12]}) than those of "
                f"now ({print_[:12]}); use those, or another results folder"
            )
        return tensors, facts

    def _set_aside(self, path: Path, error: Damaged) -> None:
        """Set a damaged file aside; raises Gone."""
        self.say(f"{error}; it is set aside and trained again")
        files.set_aside(path)
        raise Gone

    def _hold_against(self, before: Record, again: Record, path: Path) -> None:
        """UserError if a run trained again is too far from its record; said if it differs."""
        prints = [record.data["fingerprint"] for record in (before, again)]
        if prints[0] != prints[1]:
            raise UserError(
                f"{path}: is of other data ({prints[0][:12]}) than those of now "
                f"({prints[1][:12]}); use those, or another results folder"
            )
        if not is_near(before, again):
            raise UserError(
                f"{path}: trained again, the run has {again.outcome}, but the record says "
                f"{before.outcome}; code or data changed: move the old records away"
            )
        if not is_same(before, again):
            self.say(AGAIN.format(path=path, again=again.outcome, before=before.outcome))

    def state(self, settings: Settings) -> Path | None:
        return self.store.state_path(settings)

    def keep(self, record: Record, tensors: Weights) -> None:
        """The tested network is kept of every arm, packed, and all weights where a further rung
        would stand on them: before the record, so that a run with a record is a run with weights.
        The run's state is needed no more.

        UserError if there is a record already, which stays, and this one is further from it than
        `is_near` allows.
        """
        path = self.store.record_path(record.settings)
        if (before := self.record(record.settings)) is not None:
            self._hold_against(before, record, path)
        facts = {"run": record.run, "data": record.data["fingerprint"]}
        if tensors:
            small = packed(tested(tensors))
            shapes = {"shapes": {name: shape for name, (shape, _) in small.items()}}
            values = {name: torch.from_numpy(part) for name, (_, part) in small.items()}
            files.save(self.store.tested_path(record.settings), values, facts | shapes)
        if ARMS[record.settings.arm].climbs and not record.failed:
            files.save(self.store.weights_path(record.settings), tensors, facts)
        if not path.exists():
            self.store.put(record)
        self.store.state_path(record.settings).unlink(missing_ok=True)
