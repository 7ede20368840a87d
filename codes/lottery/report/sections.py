"""One dataset's part of the report: what was run, in the shape its readers know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from lottery.analysis import costs, groups, protocols, selection
from lottery.analysis.verdict import NOT_RUN
from lottery.data import DATASETS, title
from lottery.data.balance import Balance
from lottery.files import amount
from lottery.models import MODELS, label
from lottery.pruning import arms
from lottery.report.captions import Links, picture
from lottery.report.markdown import bulleted, literal, markdown, table
from lottery.report.tables import after, before, models_of, rungs
from lottery.report.words import percent, power
from lottery.runs.record import Record
from lottery.settings import Settings

ROWS = ("train", "valid", "test")
# Settings that have their words in every report; the others are named where they are not usual.
SAID = ("vocabulary_size", "max_tokens", "learning_rate", "batch_size", "epochs")
NOTEBOOKS = {
    "imdb": "imdb.ipynb",
    "agnews": "agnews.ipynb",
    "demo-reviews": "imdb.ipynb",
    "demo-news": "agnews.ipynb",
}
DEFAULT_MASKS = {name: getattr(Settings("", ""), name) for name in protocols.OF_MASKS}
MEANS = (
    "Means over the seeds; of seconds the median, whatever else ran at the time. Rows may be of "
    "other seeds: arms are compared in *Differences*, seed by seed."
)
LISTED = 50  # classes that a table lists
BALANCE = (
    "The largest class, {largest}, is {most} of the training texts, the smallest, {smallest}, "
    "{least}. To say {largest} always is right on {floor} of the test texts. Macro-F1 is the mean "
    "of F1 over the classes of the test set, each counting alike."
)
BETWEEN = "The largest and the smallest; {count} between them."
LEFT_OUT = "Rows left out of the files because they lack something: {each}."
NONE_LEFT_OUT = "No row of the files was left out."
DIVIDED = "{test} Texts are taken apart into {tokens}."
GIVEN = "The test set was given, and is whole."
DRAWN = "The test set was drawn from the texts."


def section(dataset: str, records: list[Record], pictures: Links, home: str) -> list[str]:
    """What was run on a dataset, in the shape its readers know."""
    links = []
    if dataset in NOTEBOOKS:
        book = f"{home}/notebooks/{NOTEBOOKS[dataset]}"
        for words in ("before pruning", "after random pruning", "after lt pruning"):
            anchor = words.capitalize().replace(" ", "-")
            links.append(f"- [{words} code]({book}#{anchor})")
    blocks = ["\n".join([f"## {title(dataset)}", *_facts(dataset, records), *links])]
    blocks += _classes(records)
    blocks += ["### Result", "#### Before Pruning", markdown(before(records))]
    for arm in ("random", "lt"):
        blocks += [f"#### After Pruning ({arms.label(arm)})", markdown(after(records, arm))]
        blocks += _remarks(records, arm)
    blocks += picture(dataset, "sparsity", pictures) or ["### Sparsity curve", NOT_RUN]
    blocks += table("### All rungs and arms", rungs(records)) or ["### All rungs and arms", NOT_RUN]
    blocks.append(MEANS)
    return [*blocks, bulleted(_ran(records))] if records else blocks


def _classes(records: Sequence[Record]) -> list[str]:
    """The classes of a corpus from outside, how uneven they are, and what was left out."""
    of = next((record for record in selection.in_report(records) if record.classes), None)
    if of is None:
        return []
    rows = of.data["labels"]
    order = sorted(range(len(of.classes)), key=lambda number: -rows["train"][number])
    shown = order if len(order) <= LISTED else order[: LISTED // 2] + order[-LISTED // 2 :]
    share = 1 / sum(rows["train"])
    frame = pd.DataFrame(
        [
            {part: f"{rows[part][number]:,}" for part in ROWS}
            | {"share of train": percent(share * rows["train"][number])}
            for number in shown
        ],
        index=[literal(of.classes[number]) for number in shown],
    ).rename_axis(columns="Class")
    balance = vars(Balance.of(of.classes, rows))
    said = {k: percent(v) if isinstance(v, float) else literal(v) for k, v in balance.items()}
    left = [f"{count:,} without {lack}" for lack, count in of.data["left_out"].items()]
    words = [BALANCE.format(**said)]
    if len(shown) < len(order):
        others = amount(len(order) - len(shown), "class lies", "classes lie")
        words.insert(0, BETWEEN.format(count=others))
    given = GIVEN if of.data["given_test"] else DRAWN
    words.append(DIVIDED.format(test=given, tokens=of.data["tokens"]))
    words.append(LEFT_OUT.format(each=", ".join(left)) if left else NONE_LEFT_OUT)
    return [*table("### Classes", frame), " ".join(words)]


def _facts(dataset: str, records: list[Record]) -> list[str]:
    """The global settings, from one record of each model's main protocol."""
    used = "사용한 모델" if dataset in DATASETS else "models"
    lines = [f"- {used}: " + ", ".join(f"``{label(model)}``" for model in models_of(records))]
    lines += ["- global setting"]
    any_of = {record.settings.model: record for record in selection.in_report(records)}
    usual = {model: any_of[model] for model in MODELS if model in any_of}
    if not usual:
        return [*lines, f"  - {NOT_RUN}"]

    def value(get: Callable[[Record], object]) -> str:
        said = {model: f"``{get(record)}``" for model, record in usual.items()}
        if len(set(said.values())) == 1:
            return next(iter(said.values()))
        return ", ".join(f"{text} ({label(model)})" for model, text in said.items())

    def setting(name: str) -> str:
        return value(lambda record: getattr(record.settings, name))

    rows = [value(lambda record, part=part: record.data["rows"][part]) for part in ROWS]
    two = {costs.outputs(record) for record in usual.values()} == {1}
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
        changed = protocols.differences(record.settings.protocol, plain)
        changed = {name: v for name, v in changed.items() if name not in SAID}
        usual_masks = protocols.plain(replace(record.settings, arm="lt", ladder=(0.5,)))
        changed |= protocols.differences(usual_masks, replace(usual_masks, **DEFAULT_MASKS))
        if changed:
            lines.append(f"  - {label(model)} not at its defaults: {protocols.words(changed)}")
        if protocols.is_former(record.settings):
            lines.append(f"  - {label(model)} here without weight decay: today's recipe {NOT_RUN}")
    return lines


def _remarks(records: list[Record], arm: str) -> list[str]:
    """What a reader must know of the rows chosen for an arm."""
    found = groups.groups(selection.in_report(records))
    lines = []
    for model in MODELS:
        group = groups.first_rung(found, model, arm)
        options = protocols.variant(group.settings) if group else {}
        if options:
            lines.append(f"{label(model)} here with {protocols.words(options)}.")
    sparsities = {(g.settings.model, g.settings.ladder) for g in found if g.settings.arm == arm}
    if len(sparsities) > len({model for model, _ in sparsities}):
        lines.append("Lowest sparsity of each model; all rungs are in the table below.")
    return lines


def _ran(records: list[Record]) -> list[str]:
    """On which data, where and for how long."""
    lines = []
    for source, repeated, mark in sorted({_data(record) for record in records}):
        repeats = f", {repeated} repeated texts" if repeated else ""
        lines.append(f"data: {source}{repeats}; fingerprint ``{mark[:12]}``")
    return [*lines, spent(records)]


def spent(records: Sequence[Record]) -> str:
    """How many runs and hours, on which devices, by which versions."""
    devices = sorted({record.device for record in records})
    versions: dict[str, list[str]] = {}
    for record in records:
        for name, version in record.versions.items():
            versions.setdefault(name, []).append(version)
    used = ", ".join(
        f"{name} {' and '.join(sorted(set(said)))}"
        + (f" (said by {len(said)})" if len(said) < len(records) else "")
        for name, said in sorted(versions.items())
    )
    hours = sum(record.seconds for record in records) / 3600
    runs = amount(len(records), "run", "runs")
    return f"{runs}, {hours:.2f} hours in all, on {' and '.join(devices)}; {used}"


def _data(record: Record) -> tuple[str, str, str]:
    repeated = record.data.get("repeated_texts")
    said = "" if repeated is None else str(repeated)
    return str(record.data["source"]), said, protocols.fingerprint(record)
