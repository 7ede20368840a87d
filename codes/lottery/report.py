"""Records to week9.md, its tables and its pictures. No figure is typed but an earlier report's."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from lottery import figures, groups
from lottery.corpus import DATASETS
from lottery.files import write_whole
from lottery.groups import Group
from lottery.models import MODELS
from lottery.results import Record, Store, table
from lottery.settings import Settings, title

NOT_RUN = "not run"
FIVE = ["Train Loss (BEST)", "Train Acc. (BEST)", "Test Loss", "Test Acc."]  # beside the model
ACCURACY_SD = "Test Acc. SD"
WORDS = ("Model", "Dataset", "Report", "Arm", "Differs in")  # columns set from the left
ROWS = ("train", "valid", "test")
# Settings that have their words in every report; the others are named where they are not usual.
SAID = ("vocabulary_size", "max_tokens", "learning_rate", "batch_size", "epochs")
NOTEBOOKS = {
    "imdb": "imdb.ipynb",
    "agnews": "agnews.ipynb",
    "demo-reviews": "imdb.ipynb",
    "demo-news": "agnews.ipynb",
}
CAPTION = (
    "Means over the seeds. Bars, and the band of the dense network, are one standard deviation, "
    "where there are two seeds. Weights remaining are counted with the embedding's."
)
# dataset, model: best train loss, its accuracy, test loss, accuracy; as that report printed them
EARLIER = {
    ("imdb", "cnn"): ("0.062", "97.82 %", "0.273", "88.88 %"),
    ("imdb", "lstm"): ("0.209", "91.82 %", "0.245", "90.54 %"),
    ("agnews", "cnn"): ("0.082", "97.24 %", "0.310", "89.52 %"),
    ("agnews", "lstm"): ("0.206", "92.82 %", "0.263", "91.17 %"),
}


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
            picture = root / "figures" / f"{dataset}-sparsity.png"
            figures.save(figures.sparsity_curve(own), picture)
            pictures[dataset] = _relative(picture, path.parent)
    books = _relative(root.parent.parent / "notebooks", path.parent) if generated else "/notebooks"
    write_whole(path, page(belonging, datasets, pictures, books, len(unread), stopped))
    say(f"{_relative(path, Path.cwd())}: written from {len(belonging)} records")
    return path


def path_of(store: Store) -> Path:
    """Where the report of a store lies unless another place is named."""
    root = Path(store.root)
    return (root if root.name == "demo" else root.parent) / "week9.md"


def page(
    records: Iterable[Record],
    datasets: Iterable[str],
    pictures: dict[str, str],
    notebooks: str = "/notebooks",
    unread: int = 0,
    stopped: Sequence[Record] = (),
) -> str:
    """The report on `datasets` as markdown; `pictures` and `notebooks` are what it links to."""
    records, datasets = list(records), list(datasets)
    generated = [name for name in datasets if DATASETS[name].generated]
    if generated:
        lines = [f"# Week 9 on generated corpora ({', '.join(generated)})", ""]
        lines += ["A grammar makes these texts: nothing here is a result on real reviews or news."]
    else:
        lines = ["# Week 9"]
    for dataset in datasets:
        own = [record for record in records if record.settings.dataset == dataset]
        lines += ["", *_section(dataset, own, pictures.get(dataset), notebooks)]
    if any(dataset in datasets for dataset, _ in EARLIER):
        lines += ["", "## Beside the earlier report", "", _markdown(beside_earlier(records)), ""]
        lines += [
            "Before pruning only: the earlier report's pruned rows repeated one pair of figures in "
            "every table, and so cannot be compared."
        ]
    if stopped:
        lines += ["", "Runs that stopped without figures:", ""]
        lines += [f"- {r.settings.dataset} {title(r.settings)}: {r.failed}" for r in stopped]
    if unread:
        lines += ["", f"Records that could not be read, and are not in this report: {unread}."]
    return "\n".join(lines) + "\n"


# Tables. Their cells are words, the same here and in a notebook.


def before(records: Iterable[Record]) -> pd.DataFrame:
    """One row a model: the dense networks of one dataset."""
    return _one_row_a_model(records, "dense")


def after(records: Iterable[Record], arm: str) -> pd.DataFrame:
    """One row a model: the first rung of `arm` in one dataset."""
    return _one_row_a_model(records, arm)


def rungs(records: Iterable[Record]) -> pd.DataFrame:
    """One row a model, rung and arm: means over the seeds, of one dataset and its main protocol."""
    found = groups.groups(groups.main(_of_one_dataset(records)))
    names = Counter(map(_name, found))
    rows = []
    for group in found:
        arm = groups.label(group.settings)
        if names[_name(group)] > 1:  # the same sparsity by two ways
            arm += ", " + groups.words({"ladder": group.settings.ladder})
        rows.append(
            {
                "Arm": arm,
                "Sparsity": _percent(group.mean("sparsity")),
                "Without embedding": _percent(group.mean("sparsity_without_embedding")),
                "Valid Acc. (BEST)": _percent(group.mean("valid_accuracy")),
                "Test Loss": _loss(group.mean("test_loss")),
                "Test Acc.": _percent(group.mean("test_accuracy")),
                ACCURACY_SD: _sd(group),
                "Seeds": str(group.seeds),
                "Best epoch": f"{group.mean('best_epoch'):.1f}",
                "Seconds": f"{group.mean('seconds'):.0f}",
            }
        )
    return _framed(rows, [group.settings.model for group in found])


def other_settings(records: Iterable[Record]) -> pd.DataFrame:
    """One row a model, protocol, rung and arm that the other tables leave out, and why."""
    records = _of_one_dataset(records)
    chosen = {record.settings.model: record for record in groups.main(records)}
    rest = groups.groups(
        record
        for record in records
        if groups.identity(record) != groups.identity(chosen[record.settings.model])
    )
    rows = []
    for group in rest:
        usual, record = chosen[group.settings.model], group.records[0]
        differs = groups.words(
            groups.differences(record.settings.protocol(), usual.settings.protocol())
        )
        if groups.fingerprint(record) != groups.fingerprint(usual):
            differs = ", ".join(filter(None, (differs, f"data {groups.fingerprint(record)[:12]}")))
        rows.append(
            {
                "Differs in": differs,
                "Arm": groups.label(group.settings),
                "Sparsity": _percent(group.mean("sparsity")),
                "Test Loss": _loss(group.mean("test_loss")),
                "Test Acc.": _percent(group.mean("test_accuracy")),
                ACCURACY_SD: _sd(group),
                "Seeds": str(group.seeds),
            }
        )
    return _framed(rows, [group.settings.model for group in rest])


def beside_earlier(records: Iterable[Record]) -> pd.DataFrame:
    """Dense networks: ours, and as an earlier report has them."""
    found = groups.groups(groups.main(records))
    rows, models = [], []
    for (dataset, model), theirs in EARLIER.items():
        own = [group for group in found if group.settings.dataset == dataset]
        ours = _five(groups.first_rung(own, model, "dense"))
        title = DATASETS[dataset].title
        rows.append({"Dataset": title, "Report": "this", **ours})
        rows.append({"Dataset": title, "Report": "earlier", **dict(zip(FIVE, theirs, strict=True))})
        models += [model, model]
    return _framed(rows, models)


def _one_row_a_model(records: Iterable[Record], arm: str) -> pd.DataFrame:
    found = groups.groups(groups.main(_of_one_dataset(records)))
    rows = []
    for model in MODELS:
        group = groups.first_rung(found, model, arm)
        rows.append(
            {
                **_five(group),
                "Sparsity": _percent(group.mean("sparsity")) if group else NOT_RUN,
                "Seeds": str(group.seeds if group else 0),
                ACCURACY_SD: _sd(group) if group else NOT_RUN,
            }
        )
    return _framed(rows, list(MODELS))


def _five(group: Group | None) -> dict[str, str]:
    if group is None:
        return dict.fromkeys(FIVE, NOT_RUN)
    values = (
        _loss(group.mean("train_loss")),
        _percent(group.mean("train_accuracy")),
        _loss(group.mean("test_loss")),
        _percent(group.mean("test_accuracy")),
    )
    return dict(zip(FIVE, values, strict=True))


def _framed(rows: list[dict[str, str]], models: list[str]) -> pd.DataFrame:
    """Rows under their models; a column of standard deviations only if a row has one."""
    frame = pd.DataFrame(rows, index=[model.upper() for model in models])
    frame.columns.name = "Model"  # a notebook shows it above the index, as a heading
    if ACCURACY_SD in frame and not frame[ACCURACY_SD].str.endswith("%").any():
        frame = frame.drop(columns=ACCURACY_SD)
    return frame


# The report's parts


def _section(dataset: str, records: list[Record], picture: str | None, notebooks: str) -> list[str]:
    title = DATASETS[dataset].title
    book = f"{notebooks}/{NOTEBOOKS[dataset]}" if dataset in NOTEBOOKS else None
    lines = [f"## {title}", *_facts(dataset, records)]
    if book:
        for words in ("before pruning", "after random pruning", "after lt pruning"):
            anchor = words.capitalize().replace(" ", "-")
            lines.append(f"- [{words} code]({book}#{anchor})")
    lines += ["", "### Result", "", "#### Before Pruning", "", _markdown(before(records))]
    for arm in ("random", "lt"):
        name = groups.ARM_LABELS[arm]
        lines += ["", f"#### After Pruning ({name})", "", _markdown(after(records, arm))]
        lines += _remarks(records, arm)
    lines += ["", "### Sparsity curve", ""]
    if picture:
        lines += [f"![{title}: test accuracy over weights remaining]({picture})", "", CAPTION]
    else:
        lines += [NOT_RUN]
    every = rungs(records)
    lines += ["", "### All rungs and arms", "", _markdown(every) if len(every) else NOT_RUN]
    others = other_settings(records)
    if len(others):
        lines += ["", "### Other settings", "", _markdown(others)]
    if records:
        lines += ["", *_ran(records)]
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
        f"  - learning rate {value(lambda r: _power(r.settings.learning_rate))} "
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


def _of_one_dataset(records: Iterable[Record]) -> list[Record]:
    records = list(records)
    kinds = {(record.settings.dataset, bool(record.data["generated"])) for record in records}
    if len(kinds) > 1:
        raise ValueError(f"a table holds one dataset, not {sorted(kinds)}")
    return records


def _name(group: Group) -> tuple[str, float, str]:
    return group.settings.model, group.settings.sparsity, groups.label(group.settings)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _loss(value: float) -> str:
    return f"{value:.3f}"


def _sd(group: Group) -> str:
    sd = group.sd("test_accuracy")
    return "–" if sd is None else _percent(sd)


def _power(value: float) -> str:
    """0.001 as "1e-3"."""
    digits, power = f"{value:.15e}".split("e")
    short = f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return short if float(short) == value else repr(value)


def _markdown(frame: pd.DataFrame) -> str:
    """The frame as an aligned markdown table, the index its first column."""
    rows = [[str(frame.columns.name), *frame.columns]]
    rows += [[str(name), *map(str, row)] for name, *row in frame.itertuples(name=None)]
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    columns = [_aligned(column, left=column[0] in WORDS) for column in zip(*rows, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in zip(*columns, strict=True))


def _aligned(column: Sequence[str], left: bool) -> list[str]:
    """The cells of a column at one width, the markdown rule below the first."""
    width = max(map(len, column))
    cells = [cell.ljust(width) if left else cell.rjust(width) for cell in column]
    return [cells[0], "-" * width if left else "-" * (width - 1) + ":", *cells[1:]]


def _relative(target: Path, folder: Path) -> str:
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()
