"""Results folders that were filled apart, to one."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from lottery.data import DATASETS
from lottery.files import Damaged, UserError, amount, facts_of, set_aside, whole, write_whole
from lottery.runs.compare import is_near
from lottery.runs.record import Record
from lottery.runs.store import Store
from lottery.upkeep.places import held, place_of

NEW, SAME, NEAR = "new", "the same", "nearly the same, of another machine, a GPU or other code"
# What two machines may say differently of one and the same training.
OF_MACHINE = ("seconds", "host", "worker", "device", "threads", "versions", "commit")


def merge(
    into: Store, others: Iterable[Path], say: Callable[[str], object] = print
) -> tuple[dict[str, int], list[str]]:
    """Copy the records of other results folders, and the weights behind them, into one.

    Of a run that both have the two records are compared, and the one that is there already is kept,
    with its weights. Gives how many records were new, the same, or nearly the same; and
    a line for each that is none of these, or cannot be read, and was left where it is. Nothing is
    removed or overwritten, so that the same can be done again; weights without a record are set
    aside for those that come with one.

    Raises:
        UserError: a folder holds no runs.
    """
    counts: Counter[str] = Counter()
    problems: list[str] = []
    folders = [Store(Path(folder)) for folder in others]
    for store in folders:
        if not (store.root / "runs").is_dir():
            raise UserError(f"{store.root}: holds no runs/; name a results folder")
    prints = _fingerprints(into)
    for store in folders:
        for path in store.paths():
            try:
                record = store.read(path)
                _check_texts(record, path, prints)
                with held(into.lock_path(record.settings), make=True) as free:
                    if not free:
                        raise UserError(f"{path}: a process is at this run; merge it later")
                    counts[_one(into, store, path, record)] += 1
            except UserError as error:
                problems.append(str(error))
    for kind in (NEW, SAME, NEAR):
        say(f"{amount(counts[kind], 'record', 'records')} {kind}")
    return dict(counts), problems


def _one(into: Store, store: Store, path: Path, record: Record) -> str:
    """Take one record in; UserError if the one that is there says something else."""
    before = into.get(record.settings)
    if before is None:
        _copy_weights(into, store, record, overwrite=True)  # what lies there has no record
        try:  # after the weights: a run with a record is a run with weights
            write_whole(into.record_path(record.settings), path.read_bytes(), overwrite=False)
            return NEW
        except FileExistsError:  # another process was faster
            before = into.get(record.settings)
    if _bare(before) == _bare(record):
        _copy_weights(into, store, record)
        return SAME
    if before.data["fingerprint"] != record.data["fingerprint"]:
        raise UserError(f"{path}: was made on other texts than {into.record_path(record.settings)}")
    if not is_near(before, record):
        raise UserError(
            f"{path}: has {record.outcome}, and {into.record_path(record.settings)} has "
            f"{before.outcome}; one of them was made by other code or data: move it away"
        )
    return NEAR


def _bare(record: Record) -> dict:
    """What a record says of the training itself."""
    values = {name: value for name, value in asdict(record).items() if name not in OF_MACHINE}
    values["history"] = [{**epoch, "seconds": 0} for epoch in values["history"]]
    values["data"] = {**values["data"], "source": ""}
    return values


def _fingerprints(store: Store) -> dict[str, str]:
    """Those of the corpora of which a store has records, the first of each."""
    found: dict[str, str] = {}
    for record in store.records()[0]:
        found.setdefault(record.settings.dataset, record.data["fingerprint"])
    return found


def _check_texts(record: Record, path: Path, prints: dict[str, str]) -> None:
    """A corpus from outside has a folder of its own, and all records there are of one text.

    And generated corpora have another folder than real ones.
    """
    name, print_ = record.settings.dataset, record.data["fingerprint"]
    kinds = {DATASETS[one].generated for one in (*prints, name) if one in DATASETS}
    if len(kinds) > 1:
        raise UserError(f"{path}: generated and real texts are not mixed; give another --results")
    others = [one for one in prints if one != name and {one, name} - set(DATASETS)]
    if others:
        raise UserError(f"{path}: is of {name}, and the folder belongs to {others[0]}")
    if prints.setdefault(name, print_) != print_ and name not in DATASETS:
        raise UserError(f"{path}: was made on other texts called {name} than the records there")


def _copy_weights(into: Store, store: Store, record: Record, overwrite: bool = False) -> None:
    """Copy what a finished run leaves beside its record, where it is whole enough to be read.

    With `overwrite` what is there is set aside first, lest a record stand over another's weights.
    """
    place = place_of(store, store.record_path(record.settings))
    if overwrite:
        # Not θₖ, which is the same whoever trained on from it.
        for file in (into.weights_path(record.settings), into.tested_path(record.settings)):
            set_aside(file)
    for file in sorted(place.parent.glob(f"{place.name}.*safetensors")):
        target = into.checkpoints / file.relative_to(store.checkpoints)
        if ".state." in file.name or target.exists():
            continue
        try:
            if facts_of(file).get("data") != record.data["fingerprint"]:
                continue
        except Damaged:
            continue
        with whole(target) as temporary:
            shutil.copyfile(file, temporary)
