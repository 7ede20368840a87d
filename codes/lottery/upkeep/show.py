"""One run, told from its record: what came out, what it stands on, and how to run it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from lottery.data import DATASETS
from lottery.experiment.plan import departures, needs
from lottery.files import UserError, amount, root
from lottery.plugins.register import is_here
from lottery.report.words import percent
from lottery.runs.record import Record
from lottery.runs.store import Store
from lottery.settings import OF_RUN, Settings, title
from lottery.upkeep.status import aligned, clock

TESTED = "{accuracy}, loss {loss:.4f}, of {texts:,} texts"
BEST = "{accuracy}, loss {loss:.4f}, after epoch {epoch} of {epochs}, the one of lowest loss"
WEIGHTS = "{kept:,} of {there:,} kept, {removed} removed"
TRAINED = "{time} on {device}, {threads}, PyTorch {torch}, commit {commit:.7}"
EPOCHS = ("epoch", "train loss", "train acc.", "valid. loss", "valid. acc.", "time")
LAYERS = ("layer", "weights", "kept", "removed")
TEXTS = "--csv FILE --text COLUMN --label COLUMN --name {}"


def find(store: Store, name: str) -> Record:
    """The record whose run's name begins so; UserError if there is none, or more than one."""
    found = [path for path in store.paths() if path.stem.startswith(name)]
    if not found:
        raise UserError(
            f"no record in {store.root} has a name that begins with {name!r}; a run is named as "
            f"its file in runs/, and --results names another folder"
        )
    if len(found) > 1:
        names = ", ".join(path.stem for path in found[:3])
        raise UserError(f"{name!r} begins the names of {len(found)} runs ({names}, …): write more")
    return store.read(found[0])


def show(store: Store, record: Record) -> list[str]:
    """Lines for a person."""
    facts = list(_facts(store, record))
    width = max(len(name) for name, _ in facts)
    lines = [f"{record.settings.dataset} {title(record.settings)}"]
    lines += [f"{name:<{width}}  {value}" for name, value in facts]
    layers = [
        (name, f"{there:,}", f"{there - gone:,}", percent(gone / there))
        for name, (gone, there) in record.layers.items()
    ]
    epochs = [
        (str(e.epoch), f"{e.train_loss:.4f}", percent(e.train_accuracy),
         f"{e.valid_loss:.4f}", percent(e.valid_accuracy), clock(e.seconds))
        for e in record.history
    ]  # fmt: skip
    for table in ([LAYERS, *layers], [EPOCHS, *epochs]):
        lines += ["", *aligned(table)]
    return lines


def again(settings: Settings) -> str:
    """The command that trains the run, where it has no record."""
    corpus = settings.dataset if settings.dataset in DATASETS else TEXTS.format(settings.dataset)
    words = ["lottery run", corpus, settings.model, "--sparsity", *map(str, settings.ladder)]
    if settings.rung:
        words += ["--at", str(settings.sparsity), "--arm", settings.arm]
    words += ["--seed", str(settings.seed)]
    if settings.source:
        words += ["--source", settings.source]
    for name, value in departures(settings).items():
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{name.replace('_', '-')}", *(shlex.quote(str(one)) for one in values)]
    return " ".join(words + ["--plugin FILE"] * bool(settings.code))


def _facts(store: Store, record: Record) -> Iterator[tuple[str, str]]:
    settings = record.settings
    yield "record", str(store.record_path(settings))
    if record.failed:
        yield "failed", record.failed
    else:
        yield (
            "test",
            TESTED.format(
                accuracy=percent(record.test_accuracy),
                loss=record.test_loss,
                texts=record.data["rows"]["test"],
            ),
        )
        yield (
            "validation",
            BEST.format(
                accuracy=percent(record.best.valid_accuracy),
                loss=record.best.valid_loss,
                epoch=record.best_epoch,
                epochs=len(record.history),
            ),
        )
    there = sum(there for _, there in record.layers.values())
    yield (
        "weights",
        WEIGHTS.format(
            kept=sum(record.kept.values()), there=there, removed=percent(record.sparsity)
        ),
    )
    spoken = [(k, v) for k, v in settings.spoken().items() if k not in OF_RUN]
    said = ", ".join(f"{k} {v if isinstance(v, str) else json.dumps(v)}" for k, v in spoken)
    yield "settings", said or "the defaults"
    for run, step in needs(settings) if is_here(settings) else ():
        yield "stands on", f"{run.run} ({run.dataset} {title(run)}{f', step {step}' * bool(step)})"
    yield (
        "trained",
        TRAINED.format(
            time=clock(record.seconds),
            device=record.device,
            threads=amount(record.threads, "thread", "threads"),
            torch=record.versions.get("torch", "unknown"),
            commit=record.commit,
        ),
    )
    usual = store.root == root() / "results"
    folder = "" if usual else f" --results {shlex.quote(str(store.root))}"
    yield "again", again(settings) + folder
