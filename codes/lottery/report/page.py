"""Records to week9.md: the answer first, then the known tables, then the evidence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lottery.analysis import costs, groups, verdict
from lottery.analysis.verdict import NOT_RUN, power
from lottery.data import DATASETS
from lottery.files import write_whole
from lottery.models import MODELS
from lottery.report import figures
from lottery.report.tables import (
    EARLIER,
    after,
    answer,
    before,
    beside_earlier,
    comparisons,
    conditions,
    differences,
    markdown,
    other_settings,
    published,
    rungs,
    said_of,
    savings,
)
from lottery.runs.record import Record
from lottery.runs.store import Store, table
from lottery.settings import Settings, title

# What a notebook shows of its records.
__all__ = [
    "after",
    "answer",
    "before",
    "beside_earlier",
    "conditions",
    "differences",
    "other_settings",
    "page",
    "path_of",
    "published",
    "rungs",
    "savings",
    "write",
]

ROWS = ("train", "valid", "test")
# Settings that have their words in every report; the others are named where they are not usual.
SAID = ("vocabulary_size", "max_tokens", "learning_rate", "batch_size", "epochs")
NOTEBOOKS = {
    "imdb": "imdb.ipynb",
    "agnews": "agnews.ipynb",
    "demo-reviews": "imdb.ipynb",
    "demo-news": "agnews.ipynb",
}
QUESTION = (
    "A *winning ticket* is a pruned network, trained again from its first values, that is not "
    f'worse than the whole one by more than {verdict.margin_words()} of test accuracy; "up to" a '
    "sparsity means at every rung up to it. A difference counts as decided when its whole 95 % "
    "interval, over seeds and test examples, lies on one side, and the one over test examples "
    "alone as well.\n\n"
    "*dense*: the whole network. *lt init*: pruned, with its first values. *random init*: the same "
    "places with new values. *random mask*, *shuffled mask*: as many weights of each layer, in "
    "random places, with their first values. *fine-tuned*: pruned and trained on. *rewind_step k*: "
    "lt init with the values after k steps. More: "
    "[How to read the report]({home}/README.md#how-to-read-the-report)."
)
CAPTIONS = {
    "sparsity": "Means over the seeds. Bars, and the band of the dense network, are 95 % intervals "
    "over seeds and test examples. The arms share both, so that bars may overlap where the paired "
    "difference is sure: see the table of differences. Weights remaining are counted with the "
    "embedding's.",
    "differences": "Paired differences with their 95 % intervals; the dotted lines are margins. "
    "One curve is drawn a hair to the right. Random mask and shuffled mask are two draws of one "
    "kind: the ticket's counts, layer by layer, in places drawn at random.",
    "epochs": "Means over the seeds; bars, and the band of the dense network, are one standard "
    "deviation. A ticket that learns sooner lies below dense.",
    "densities": "Means over the seeds, of the plain ladder of each scope. Layers that keep the "
    "same are one line. Layer by layer, the output layer is pruned at half the rate.",
}
ALTS = {
    "sparsity": "test accuracy over weights remaining",
    "differences": "differences of test accuracy over weights remaining",
    "epochs": "epoch of lowest validation loss over weights remaining",
    "densities": "share of each layer remaining over weights remaining",
}
LUCKY = (
    " † The seeds agree better than the test examples allow: the wider interval, over examples "
    "alone, decides."
)
METHOD = (
    "Two arms are compared on the same seeds and the same test examples. The interval of their "
    "mean difference takes seeds and examples as two crossed samples and adds both variances "
    "(method of moments); the quantile is Student's, weighted between few seeds and many examples "
    "(Cochran 1964). In simulation it holds the truth 95 to 97 % of the time with 3 and with 5 "
    "seeds. With one seed the interval is that of the examples alone, with the p of McNemar's "
    "exact test beside it, and nothing is decided. The tables of differences hold {several} "
    "intervals of several seeds, each 95 % by itself and not adjusted for their number: about one "
    "in twenty misses by chance{single}. Details: [docs/method.md]({method})."
)


def write(store: Store, path: Path | None = None, say: Callable[[str], object] = print) -> Path:
    """Write the report, the tables and the figures of a store; give the report's path.

    A store named `demo` holds generated corpora, with its report inside; of any other, which holds
    real ones, the report lies beside it. Records of the other kind are named and left out.
    """
    root = Path(store.root)
    generated = root.name == "demo"
    path = Path(path) if path else path_of(store)
    records, unread = store.records()
    for line in unread:
        say(line)
    datasets = [name for name, known in DATASETS.items() if known.generated == generated]
    belonging, stopped = [], []
    for record in records:
        known = record.settings.dataset in datasets
        if known and bool(record.data["generated"]) == generated:
            (stopped if record.failed else belonging).append(record)
        else:
            kind = "generated" if record.data["generated"] else "real"
            place = store.record_path(record.settings)
            say(f"{place}: on {kind} {record.settings.dataset}, which is not in this report")

    pictures = {}
    for dataset in datasets:
        own = [record for record in belonging if record.settings.dataset == dataset]
        write_whole(root / f"{dataset}.csv", table(own).to_csv(index=False, lineterminator="\n"))
        if any(record.settings.rung for record in groups.main(own)):
            for kind, draw in figures.PICTURES.items():
                picture = root / "figures" / f"{dataset}-{kind}.png"
                figures.save(draw(own), picture)
                pictures[dataset, kind] = _relative(picture, path.parent)
    # Of a real store the links hold wherever the report is read in the repository's page.
    home = _relative(root.parent.parent, path.parent) if generated else ""
    write_whole(path, page(belonging, datasets, pictures, home, len(unread), stopped))
    say(f"{_relative(path, Path.cwd())}: written from {len(belonging)} records")
    return path


def path_of(store: Store) -> Path:
    """Where the report of a store lies unless another place is named."""
    root = Path(store.root)
    return (root if root.name == "demo" else root.parent) / "week9.md"


def page(
    records: Iterable[Record],
    datasets: Iterable[str],
    pictures: dict[tuple[str, str], str],
    home: str = "",
    unread: int = 0,
    stopped: Sequence[Record] = (),
) -> str:
    """The report on `datasets` as markdown.

    `pictures` links to the picture of a dataset and kind; `home` is the repository's folder.
    """
    records, datasets = list(records), list(datasets)
    own = {name: [r for r in records if r.settings.dataset == name] for name in datasets}
    found = {name: verdict.ladders(own[name]) for name in datasets}
    generated = [name for name in datasets if DATASETS[name].generated]
    if generated:
        lines = [f"# Week 9 on generated corpora ({', '.join(generated)})", ""]
        lines += ["A grammar makes these texts: nothing here is a result on real reviews or news."]
    else:
        lines = ["# Week 9"]
    pairs = [(dataset, model) for dataset in datasets for model in MODELS]
    ladders = [ladder for name in datasets for ladder in found[name]]
    lines += ["", *(f"- {line}" for line in verdict.answers(ladders, pairs))]
    lines += ["", QUESTION.format(home=home)]
    for name in datasets:
        lines += ["", *_section(name, own[name], pictures, home)]
    if any(dataset in datasets for dataset, _ in EARLIER):
        lines += ["", "## Beside the earlier report", "", markdown(beside_earlier(records)), ""]
        lines += [
            "Before pruning only: the earlier report's pruned rows repeated one pair of figures in "
            "every table, and so cannot be compared. (BEST) is the epoch of lowest validation "
            "loss. Our training figures are means over it as it trains, with dropout of words and "
            "features on: the test figures are those to compare.",
        ]
    for name in datasets:
        if found[name]:
            lines += ["", *_evidence(name, own[name], found[name], pictures)]
    if ladders:
        if not generated:
            lines += ["", *_beside_others(ladders)]
        several, single = comparisons(ladders)
        method = f"{home}/docs/method.md"
        said = f"; {single} of a single seed say nothing of other seeds" if single else ""
        method = METHOD.format(several=several, single=said, method=method)
        lines += ["", "## Method", "", method]
    if stopped:
        lines += ["", "Runs that stopped without figures:", ""]
        lines += [f"- {r.settings.dataset} {title(r.settings)}: {r.failed}" for r in stopped]
    if unread:
        lines += ["", f"Records that could not be read, and are not in this report: {unread}."]
    return "\n".join(lines) + "\n"


# The report's parts


def _section(
    dataset: str, records: list[Record], pictures: dict[tuple[str, str], str], home: str
) -> list[str]:
    """What was run on a dataset, in the shape its readers know."""
    book = f"{home}/notebooks/{NOTEBOOKS[dataset]}" if dataset in NOTEBOOKS else None
    lines = [f"## {DATASETS[dataset].title}", *_facts(dataset, records)]
    if book:
        for words in ("before pruning", "after random pruning", "after lt pruning"):
            anchor = words.capitalize().replace(" ", "-")
            lines.append(f"- [{words} code]({book}#{anchor})")
    lines += ["", "### Result", "", "#### Before Pruning", "", markdown(before(records))]
    for arm in ("random", "lt"):
        name = groups.ARM_LABELS[arm]
        lines += ["", f"#### After Pruning ({name})", "", markdown(after(records, arm))]
        lines += _remarks(records, arm)
    lines += ["", "### Sparsity curve", "", *_picture(dataset, "sparsity", pictures)]
    every = rungs(records)
    lines += ["", "### All rungs and arms", "", markdown(every) if len(every) else NOT_RUN]
    lines += ["", "Means over the seeds; seconds are their median, beside whatever else ran."]
    others = other_settings(records)
    if len(others):
        lines += ["", "### Other settings", "", markdown(others)]
    if records:
        lines += ["", *_ran(records)]
    return lines


def _picture(dataset: str, kind: str, pictures: dict[tuple[str, str], str]) -> list[str]:
    if (dataset, kind) not in pictures:
        return [NOT_RUN]
    shown = f"![{DATASETS[dataset].title}: {ALTS[kind]}]({pictures[dataset, kind]})"
    return [shown, "", CAPTIONS[kind]]


def _evidence(
    dataset: str,
    records: list[Record],
    found: list[verdict.Ladder],
    pictures: dict[tuple[str, str], str],
) -> list[str]:
    """What the answer on a dataset stands on."""
    lengths = sorted({costs.text_length(record.settings) for record in groups.main(records)})
    compared = markdown(differences(records))
    lines = [f"## Evidence: {DATASETS[dataset].title}", "", "### Verdict"]
    for model in MODELS:
        own = [ladder for ladder in found if ladder.model == model]
        lines += ["", f"**{model.upper()}**", "", *(f"- {line}" for line in said_of(own))]
    lines += [
        "",
        "### Differences",
        "",
        *_picture(dataset, "differences", pictures),
        "",
        compared,
        "",
        "Test accuracy in points, means over the common seeds with 95 % intervals; p is McNemar's "
        "of a single seed, whose interval is that of the test examples only. A small dense network "
        f"has as many weights as the ticket.{LUCKY if '†' in compared else ''}",
        "",
        "### Strict conditions",
        "",
        markdown(conditions(records)),
        "",
        _conditions_caption(found),
        "",
        "### Size and speed on paper",
        "",
        markdown(savings(records)),
        "",
        "Parameters with biases, those not pruned away. Compression is old size over new, speed-up "
        "old multiply-adds over new (Blalock et al. 2020), for a text of "
        f"{' or '.join(map(str, lengths))} tokens; looking up the embedding multiplies nothing. "
        "Both are counts: a matrix with holes also stores where they are, and runs faster only "
        "where the hardware skips zeros. Where the counts differ between seeds, the first one's.",
        "",
        "### When the best epoch comes",
        "",
        *_picture(dataset, "epochs", pictures),
        "",
        "### What each layer keeps",
        "",
        *_picture(dataset, "densities", pictures),
    ]
    return lines


def _conditions_caption(found: list[verdict.Ladder]) -> str:
    rates = " and ".join(power(rate) for rate in sorted({x.learning_rate for x in found}))
    return (
        "The five conditions of Ma et al. 2021 (arXiv 2107.00166), section 2.2: "
        "all five are a jackpot ticket, the first four a secondary prize. They ask 3 and 5 of "
        f"every learning rate and of the best recipe; here there is {rates} "
        "only, so that 5 can be failed but not met. Epochs are enough if in every seed the dense "
        "network's best one is not the last; "
        f"a small dense network has as many weights as the ticket, within "
        f"{100 * verdict.SAME_SIZE:g} %."
    )


def _beside_others(ladders: list[verdict.Ladder]) -> list[str]:
    lines = ["## What others report", "", markdown(published()), "", "Here:", ""]
    for ladder in ladders:
        if not ladder.name:
            lines.append(f"- {ladder.pair}: {verdict.headline(ladder, ladders)}")
    return lines


def _facts(dataset: str, records: list[Record]) -> list[str]:
    """The global settings, from one record of each model's main protocol."""
    lines = ["- 사용한 모델: " + ", ".join(f"``{model.upper()}``" for model in MODELS)]
    lines += ["- global setting"]
    any_of = {record.settings.model: record for record in groups.main(records)}
    usual = {model: any_of[model] for model in MODELS if model in any_of}
    if not usual:
        return [*lines, f"  - {NOT_RUN}"]

    def value(get: Callable[[Record], object]) -> str:
        said = {model: f"``{get(record)}``" for model, record in usual.items()}
        if len(set(said.values())) == 1:
            return next(iter(said.values()))
        return ", ".join(f"{text} ({model.upper()})" for model, text in said.items())

    def setting(name: str) -> str:
        return value(lambda record: getattr(record.settings, name))

    rows = [value(lambda record, part=part: record.data["rows"][part]) for part in ROWS]
    two = len(DATASETS[dataset].classes) == 2
    criterion = "BCEWithLogitsLoss" if two else "CrossEntropyLoss"
    lines += [
        "  - " + " ".join(f"{part} {count}" for part, count in zip(ROWS, rows, strict=True)),
        "  - initialization: ``Xavier(normal)``",  # this and Adam: no run has any other
        f"  - criterion: ``{criterion}``",
        "  - optimizer: ``Adam``",
        f"  - learning rate {value(lambda r: power(r.settings.learning_rate))} "
        f"batchsize {setting('batch_size')} epoch {setting('epochs')}",
        f"  - texts cut at {setting('max_tokens')} tokens, vocabulary of at most "
        f"{setting('vocabulary_size')}",
    ]
    for model, record in usual.items():
        plain = Settings(dataset, model)
        changed = groups.differences(record.settings.protocol(), plain)
        changed = {name: v for name, v in changed.items() if name not in SAID}
        if changed:
            lines.append(f"  - {model.upper()} not at its defaults: {groups.words(changed)}")
    return lines


def _remarks(records: list[Record], arm: str) -> list[str]:
    """What a reader must know of the rows chosen for an arm."""
    found = groups.groups(groups.main(records))
    lines = []
    for model in MODELS:
        group = groups.first_rung(found, model, arm)
        options = groups.variant(group.settings) if group else {}
        if options:
            lines += ["", f"{model.upper()} here with {groups.words(options)}."]
    sparsities = {(g.settings.model, g.settings.ladder) for g in found if g.settings.arm == arm}
    if len(sparsities) > len({model for model, _ in sparsities}):
        lines += ["", "Lowest sparsity of each model; all rungs are in the table below."]
    return lines


def _ran(records: list[Record]) -> list[str]:
    """On which data, where and for how long."""
    lines = []
    for source, repeated, mark in sorted({_data(record) for record in records}):
        repeats = f", {repeated} repeated texts" if repeated else ""
        lines.append(f"- data: {source}{repeats}; fingerprint ``{mark[:12]}``")
    devices = sorted({record.device for record in records})
    versions: dict[str, set[str]] = {}
    for record in records:
        for name, version in record.versions.items():
            versions.setdefault(name, set()).add(version)
    used = ", ".join(f"{name} {' and '.join(sorted(versions[name]))}" for name in sorted(versions))
    hours = sum(record.seconds for record in records) / 3600
    lines.append(
        f"- {len(records)} runs, {hours:.2f} hours in all, on {' and '.join(devices)}; {used}"
    )
    return lines


def _data(record: Record) -> tuple[str, str, str]:
    repeated = record.data.get("repeated_texts")
    said = "" if repeated is None else str(repeated)
    return str(record.data["source"]), said, groups.fingerprint(record)


def _relative(target: Path, folder: Path) -> str:
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()
