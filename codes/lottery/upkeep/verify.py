"""Do records, tables, figures and report agree?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lottery.experiment.plan import removed
from lottery.files import UserError, amount
from lottery.plugins.register import absent, is_here
from lottery.report import page
from lottery.report.figures.picture import CREATOR, is_of, is_same, is_whole, svg
from lottery.runs.record import Record
from lottery.runs.store import Store, in_order
from lottery.settings import STARTS

NEEDED_VERSIONS = ("python", "torch", "numpy")
OTHER_MASK = (
    "run {}: the mask of run {}, on which it stands, is another by that run's record: it was "
    "trained again on another machine, and the report leaves the two out where masks must agree"
)
NOT_HERE = "not checked, for what is not here: {parts}; "
NOT_HERE += "give it with --plugin FILE, or move this away"


def verify(store: Store) -> tuple[int, list[str], list[str]]:
    """Read every record again: how many there are, what is wrong, and what is good to know."""
    problems: list[str] = []
    records: list[Record] = []
    paths, unread = store.paths(), 0  # a run may end meanwhile
    for path in paths:
        try:
            record = store.read(path)
        except UserError as error:
            problems.append(str(error))
            unread += 1
            continue
        records.append(record)
        if path != store.record_path(record.settings):
            problems.append(f"{path}: belongs at {store.record_path(record.settings)}; move it")
        if not is_here(record.settings):
            parts = ", ".join(absent(record.settings))
            problems.append(f"{path}: {NOT_HERE.format(parts=parts)}")
            continue
        problems += [f"{path}: {problem}" for problem in _lies(record)]
    by_run = {record.run: record for record in records}
    for record in records:
        path = store.record_path(record.settings)
        problems += [f"{path}: {problem}" for problem in _untold(record, by_run)]
    notes = sorted(OTHER_MASK.format(*two) for one in records for two in _apart(one, by_run))
    for dataset in sorted({record.settings.dataset for record in records}):
        prints = {
            str(r.data["fingerprint"])[:12]: r for r in records if r.settings.dataset == dataset
        }
        if len(prints) > 1:
            notes.append(
                f"{dataset}: records of {len(prints)} different data "
                f"({', '.join(sorted(prints))}); the report keeps them apart"
            )
    written, about = _written(store, sorted(records, key=in_order), unread)
    return len(paths), problems + written, notes + about


def _untold(record: Record, by_run: Mapping[str, Record]) -> list[str]:
    """What a foreign mask's record says of others, held against theirs where they are here."""
    if record.transfer is None:
        return []
    found = []
    source = by_run.get(record.transfer.run)
    own = by_run.get(replace(record.settings, arm="lt", source="").normal().run)
    if source and source.data["fingerprint"] != record.transfer.fingerprint:
        found.append(f"'transfer' has another 'fingerprint' than its run {source.run}")
    if own and sum(own.kept.values()) != record.transfer.own:
        found.append(f"'transfer' counts other weights than its own ticket, run {own.run}, keeps")
    return found


def _apart(record: Record, by_run: Mapping[str, Record]) -> list[tuple[str, str]]:
    """This run and one whose mask it took, where that is known to be another now."""
    if STARTS.get(record.settings.arm, "first") == "first" and record.transfer is None:
        return []
    own = replace(record.settings, arm="lt", source="").normal().run
    took = {own: record.mask}
    if record.transfer is not None:
        took = {own: record.transfer.own_mask, record.transfer.run: record.transfer.mask}
    there = {run: by_run[run].mask for run in took if run in by_run}
    return [
        (record.run, run) for run, mask in there.items() if mask and took[run] not in ("", mask)
    ]


def _lies(record: Record) -> list[str]:
    """What a record that agrees with itself may still get wrong."""
    found = []
    settings = record.settings
    try:
        if settings.checked() != settings:
            found.append("its settings are not written in their usual form")
    except UserError as error:
        found.append(f"its settings cannot be run ({error})")
    for name in NEEDED_VERSIONS:
        if not record.versions.get(name):
            found.append(f"'versions' lacks {name}")
    for name in ("fingerprint", "source"):
        if not isinstance(record.data[name], str) or not record.data[name]:
            found.append(f"'data' has an empty {name!r}")
    if not record.commit:
        found.append("'commit' is empty")
    sizes = {name: size for name, (_, size) in record.layers.items()}
    gone = {name: count for name, (count, _) in record.layers.items()}
    wanted = removed(settings, sizes)
    if wanted is not None:
        right = gone == wanted
    elif settings.source:
        right = True  # the other's mask has its own counts, and the record agrees with itself
    else:
        free = sum(size for name, size in sizes.items() if name not in settings.kept_dense)
        right = abs(sum(gone.values()) - settings.sparsity * free) <= 0.5
    if not right:
        found.append("'layers' does not count what its sparsity removes")
    if not record.failed and len(record.history) != settings.epochs:
        epochs = amount(len(record.history), "epoch", "epochs")
        found.append(f"{epochs} in 'history', {settings.epochs} in 'settings'")
    return found


def _written(store: Store, records: Sequence[Record], unread: int) -> tuple[list[str], list[str]]:
    """Are tables, figures and report what the records give? Problems, and what is to be known."""
    path = page.path_of(store)
    try:
        report = page.made(store, records, unread, say=lambda line: None)
    except UserError:  # as of generated texts in a folder of real ones
        return [], [f"{path}: not written, for no record here belongs into a report"]
    if not all(is_here(record.settings) for record in records):
        return [], [f"{path}: not compared, for the code of some records is not here"]
    remedy = "`lottery report` writes it"
    if not any(file.exists() for file in report.texts if file.name != "README.md"):
        return [], [f"{path}: not written yet; {remedy}"]
    problems, notes = [], []
    for file, content in report.texts.items():
        if not file.exists():
            problems.append(f"{file}: is missing; {remedy}")
        elif file.read_bytes() != content:
            problems.append(f"{file}: is not what the records give; {remedy}")
    for file, figure in report.figures.items():
        if figure is not None:
            wrong, note = _drawn(file.with_suffix(".svg"), svg(figure))
            problems += [f"{line}; {remedy}" for line in wrong]
            notes += note
        elif file.exists():
            problems.append(f"{file}: the records give no such figure; `lottery report` removes it")
    return problems, notes


def _drawn(there: Path, wanted: bytes) -> tuple[list[str], list[str]]:
    """What is wrong with a figure, SVG `there` and the PNG beside it, and what is to be known."""
    files = (there, there.with_suffix(".png"))
    if missing := [file for file in files if not file.is_file()]:
        return [f"{file}: is missing" for file in missing], []
    drawn, shown = (file.read_bytes() for file in files)
    contents = zip(files, (drawn, shown), strict=True)
    if broken := [file for file, content in contents if not is_whole(file.name, content)]:
        return [f"{file}: is no whole picture" for file in broken], []
    same = is_same(drawn, wanted)
    if same is None:
        return [], [f"{there}: drawn by another matplotlib than {CREATOR}, and not compared"]
    wrong = [] if same else [f"{there}: does not show what the records give"]
    return wrong + [f"{files[1]}: is not drawn with its SVG"] * (not is_of(shown, drawn)), []
