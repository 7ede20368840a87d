"""Records to week9.md: the answer first, then the known tables, then the evidence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lottery.analysis import selection, verdict, verdicts
from lottery.analysis.frame import frame
from lottery.analysis.verdict import Ladder, pair_name
from lottery.data import DATASETS
from lottery.data import title as corpus_title
from lottery.files import UserError, amount, write_whole
from lottery.models import MODELS
from lottery.plugins.register import absent, is_here
from lottery.pruning.arms import ARMS
from lottery.recipes import RECIPES
from lottery.report import decay, evidence, figures, grid, scored, speed, travel
from lottery.report.beside import beside, published
from lottery.report.captions import Links, picture
from lottery.report.figures.speed import speed_curve
from lottery.report.markdown import bulleted, markdown, table
from lottery.report.published import EARLIER
from lottery.report.sections import section
from lottery.report.tables import other_settings
from lottery.report.words import margin
from lottery.runs.record import Record
from lottery.runs.store import Store
from lottery.settings import title

WORDS = (
    "A *winning ticket* is a pruned network, trained again from its first values, that is not "
    "worse than the whole one by more than {margin} of test accuracy. {arms} *rewind_step k*: lt "
    "init with the values after k steps, which it has trained beyond the others. More: "
    "[How to read the report]({home}/README.md#how-to-read-the-report)."
)
NO_OTHER = (
    "{names}: the ticket's own dense network is the strongest that was tried on validation, so "
    "that the answer has it."
)
SEEN = "Better ones were seen on validation, on one seed or two (docs/recipe.md)."
ALL_OF_IT = (
    "Dense networks are those of the tickets' seeds. The recipes differ in more than weight decay, "
    "and a difference is of all of it together. Those without decay have: {each}. Their tickets "
    "less their dense networks are {intervals} more intervals."
)
NO_DECAY = "{names}: " + verdict.NOT_RUN + " with both recipes."
ONE_RECIPE = "{names}: the recipe is still the one without weight decay."
EARLIER_WORDS = (
    "(BEST) is the epoch of lowest validation loss. Our training figures are means over it as it "
    "trains, with dropout of words and features on: the test figures are those to compare."
)
RESULTS = "results"  # the folder whose report the repository shows
REMEDY = {
    False: "results on generated texts belong into a folder named demo: rename {root} so",
    True: "results on real texts belong into a folder of another name than demo: rename {root}",
}
NO_RECORD = "{root}: holds no record; train first, or name a results folder, which holds runs/"
NOT_HERE = "{root}: records left out: {count}, for what is not here: {parts}; "
NOT_HERE += "give it with --plugin FILE, or move them away"
UNREAD = "{root}: no record in it can be read; the report stays as it is"
METHOD = (
    "Two arms are compared on the same seeds and the same test examples. The interval of their "
    "mean difference takes seeds and examples as two crossed samples and adds both variances "
    "(method of moments); the quantile is Student's, weighted between few seeds and many examples "
    "(Cochran 1964). In simulation it holds the truth 95 to 97 % of the time with 3 and with 5 "
    "seeds. With one seed the interval is that of the examples alone, with the p of McNemar's "
    "exact test beside it, and nothing is decided. Details: [docs/method.md]({method})."
)


@dataclass(frozen=True)
class Report:
    """The report of a store and every file beside it, not yet written."""

    path: Path
    records: int
    texts: dict[Path, bytes]
    figures: dict[Path, figures.Picture | None]  # by PNG; None: nothing to show, an older one goes


def write(
    store: Store,
    path: Path | None = None,
    say: Callable[[str], object] = print,
    read: tuple[list[Record], list[str]] | None = None,
) -> Path:
    """Write the report, the tables and the figures of a store; give the report's path.

    `read`: what `store.records` gives, where that is known. Nothing is written before all is made.
    """
    records, unread = read or store.records()
    for line in unread:
        say(line)
    report = made(store, records, len(unread), path, say)
    drawn = {place: figure and figures.both(figure) for place, figure in report.figures.items()}
    for place, content in drawn.items():
        for number, file in enumerate((place, place.with_suffix(".svg"))):
            if content is None:
                file.unlink(missing_ok=True)
            else:
                write_whole(file, content[number])
    for place, content in report.texts.items():
        write_whole(place, content)
    count = amount(report.records, "record", "records")
    say(f"{_relative(report.path, Path.cwd())}: written from {count}")
    return report.path


def made(
    store: Store,
    records: Sequence[Record],
    unread: int = 0,
    path: Path | None = None,
    say: Callable[[str], object] = print,
) -> Report:
    """The report of a store's records, at `path` or where it usually lies. Nothing is written.

    A store named `demo` holds generated corpora, one with runs of a corpus from outside that alone,
    any other real ones. Records of another kind are named and left out, UserError where none is
    left; of those whose code is not here the number is said. Of the folder `results` the README
    beside it is given the answer, too.
    """
    if not records:
        raise UserError((NO_RECORD if not unread else UNREAD).format(root=store.root))
    root = store.root.resolve()  # "." has no name
    outside, generated = own_of(store), root.name == "demo"
    path = Path(path) if path else path_of(store)
    datasets = [name for name, known in DATASETS.items() if known.generated == generated]
    datasets = [outside] if outside else datasets
    found = _of_this(store, records, datasets, generated, say)
    belonging = [record for record in found if not record.failed]
    stopped = [record for record in found if record.failed]
    texts: dict[Path, bytes] = {}
    for dataset in datasets:
        own = [record for record in belonging if record.settings.dataset == dataset]
        table = frame(own).to_csv(index=False, lineterminator="\n")
        texts[root / f"{dataset}.csv"] = table.encode()
    marks = verdicts.table(belonging).to_csv(index=False, lineterminator="\n")
    texts[root / "verdicts.csv"] = marks.encode()
    measured = speed.read(store)
    drawn = _pictures(datasets, belonging, measured)
    places = {key: root / "figures" / f"{'-'.join(filter(None, key))}.png" for key in drawn}
    links = {key: _relative(places[key], path.parent) for key, figure in drawn.items() if figure}
    # The repository's report is read on its page; a report in a folder under results, anywhere.
    is_shown = root.name == RESULTS and not outside
    home = "" if is_shown else _relative(root.parent.parent, path.parent)
    texts[path] = page(belonging, datasets, links, home, unread, stopped, measured).encode()
    readme = root.parent / "README.md"
    if is_shown and readme.is_file():
        also = travel.sentence(belonging)
        # As it is, but for the answer.
        before = readme.read_bytes().decode(errors="surrogateescape")
        pairs = pairs_of(verdict.ladders(belonging), datasets)
        if (after := grid.into(before, pairs, also)) != before:
            texts[readme] = after.encode(errors="surrogateescape")
    pictures = {places[key]: figure for key, figure in drawn.items()}
    return Report(path, len(belonging), texts, pictures)


def _of_this(
    store: Store,
    records: Iterable[Record],
    datasets: Sequence[str],
    generated: bool,
    say: Callable[[str], object],
) -> list[Record]:
    """The records that this report is about; others are named. UserError if all are."""
    found, others, strange = [], 0, []
    for record in records:
        name, place = record.settings.dataset, store.record_path(record.settings)
        is_generated = bool(record.data["generated"])
        if not is_here(record.settings):
            strange.append(record)
        elif name in datasets and (name not in DATASETS or is_generated == generated):
            found.append(record)
        else:
            others += 1
            kind = "generated" if is_generated else "real"
            say(f"{place}: on {kind} {name}, which is not in this report")
    if strange:
        parts = ", ".join(sorted({part for one in strange for part in absent(one.settings)}))
        say(NOT_HERE.format(root=store.root, count=len(strange), parts=parts))
    if others and not found:
        raise UserError(
            f"{store.root}: holds no record of {' or '.join(datasets)}; "
            + REMEDY[generated].format(root=store.root)
        )
    return found


def _pictures(
    datasets: Iterable[str], records: Sequence[Record], measured: speed.Speed | None
) -> dict[tuple[str, str], figures.Picture | None]:
    """Every picture by dataset and kind; None where the records give none."""
    drawn = {("", kind): draw(records) for kind, draw in figures.ACROSS.items()}
    drawn["", "speed"] = speed_curve(measured, records)
    for dataset in datasets:
        own = [record for record in records if record.settings.dataset == dataset]
        drawn |= {(dataset, kind): draw(own) for kind, draw in figures.PICTURES.items()}
    return drawn


def path_of(store: Store) -> Path:
    """Where the report of a store lies unless another place is named: inside it.

    That of the folder `results` itself lies beside it, in the repository.
    """
    root = store.root.resolve()
    if own_of(store):
        return root / "report.md"
    return (root.parent if root.name == RESULTS else root) / "week9.md"


def own_of(store: Store) -> str:
    """The corpus from outside that a store holds; "" if it holds the project's, or nothing.

    UserError if it holds several.
    """
    names = store.datasets()
    if not names or any(name in DATASETS for name in names):
        return ""
    if len(names) > 1:
        raise UserError(
            f"{store.root}: holds runs of {', '.join(names)}; a corpus of your own needs a results "
            f"folder of its own"
        )
    return names[0]


def page(
    records: Iterable[Record],
    datasets: Iterable[str],
    pictures: Links,
    home: str = "",
    unread: int = 0,
    stopped: Sequence[Record] = (),
    measured: speed.Speed | None = None,
) -> str:
    """The report on `datasets` as markdown.

    `pictures` links to the picture of a dataset and kind; `home` is the repository's folder.
    """
    records, datasets = list(records), list(datasets)
    staying = selection.at_home(records)
    own = {name: [r for r in staying if r.settings.dataset == name] for name in datasets}
    generated = [name for name in datasets if name in DATASETS and DATASETS[name].generated]
    is_own = not any(name in DATASETS for name in datasets)
    keys = [(dataset, model) for dataset in datasets for model in MODELS]
    chosen = [key for key in keys if key in RECIPES]
    ladders = verdict.ladders(records)
    pairs = pairs_of(ladders, datasets)
    blocks = [f"# Lottery tickets on {', '.join(datasets)}" if is_own else "# Week 9"]
    if generated:
        blocks = [f"# Week 9 on generated corpora ({', '.join(generated)})", grid.GENERATED]
    blocks += [grid.top(pairs), bulleted(grid.bullets(pairs, ladders))]
    corpora = [corpus_title(name) for name in datasets]
    blocks += ["## Limits", bulleted(grid.limits(pairs, ladders, corpora, bool(chosen)))]
    arms = " ".join(f"*{arm.label}*: {arm.means}." for arm in ARMS.values() if not arm.travels)
    blocks.append(WORDS.format(home=home, margin=margin(), arms=arms))
    blocks += picture("", "forest", pictures)
    for name in datasets:
        blocks += section(name, own[name], pictures, home)
    if any(pair.rungs for pair in pairs) and chosen:
        blocks += _recipes(records, chosen)
    blocks += scored.section(records) + travel.section(records, pictures)
    if any(key in EARLIER for key in keys):
        blocks += [*table("## Beside the earlier report", beside(records)), EARLIER_WORDS]
    for name in datasets:
        blocks += evidence.section(name, own[name], pictures)
    for name, corpus in zip(datasets, corpora, strict=True):
        blocks += table(f"## Other settings: {corpus}", other_settings(own[name]))
    if len(rows := speed.table(measured, records)):
        blocks += [*table("## Size and speed, measured", rows), measured.caption]
        blocks += picture("", "speed", pictures)
    if ladders and not generated and not is_own:
        blocks += table("## What others report", published())
    if any(pair.rungs for pair in pairs):
        blocks += ["## Method", METHOD.format(method=f"{home}/docs/method.md")]
    if stopped:
        failed = (f"{r.settings.dataset} {title(r.settings)}: {r.failed}" for r in stopped)
        blocks += ["Runs that stopped without figures:", bulleted(failed)]
    if unread:
        blocks.append(f"Records that could not be read, and are not in this report: {unread}.")
    return "\n\n".join(filter(None, blocks)) + "\n"


def pairs_of(ladders: Iterable[Ladder], datasets: Iterable[str]) -> list[Ladder]:
    """Every pair that the report is about, run or not; of a corpus from outside those run."""
    found = {pair.key: pair for pair in verdict.firsts(ladders)}
    every = [
        (dataset, model)
        for dataset in datasets
        for model in MODELS
        if dataset in DATASETS or (dataset, model) in found
    ]
    return [found.get(key, Ladder(*key)) for key in every]


def _recipes(records: Sequence[Record], keys: Sequence[tuple[str, str]]) -> list[str]:
    """With and without weight decay, beside the strongest dense network, and why."""
    names = [pair_name(*key) for key in keys]
    two, other = decay.both(records, keys), decay.strongest(records)
    blocks = ["## With and without weight decay"]
    if len(two):
        former, count = "; ".join(decay.former(keys)), len(decay.facts_without(records, keys))
        blocks += [markdown(two), ALL_OF_IT.format(each=former, intervals=count)]
    for said, has_two in ((NO_DECAY, True), (ONE_RECIPE, False)):
        some = [pair_name(*key) for key in keys if decay.has_two(key) == has_two]
        if left := [name for name in some if name not in two.index]:
            blocks.append(said.format(names=", ".join(left)))
    blocks.append("## Beside a stronger dense network")
    if len(other):
        blocks += [markdown(other), SEEN]
    if left := [name for name in names if name not in other.index]:
        blocks.append(NO_OTHER.format(names=", ".join(left)))
    return [*blocks, "## Why", bulleted(decay.why(records, keys))]


def _relative(target: Path, folder: Path) -> str:
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()
