"""Records to tables. Their cells are words, the same in the report and in a notebook.

Every figure is computed from the records but those of an earlier report and of other authors.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from lottery.analysis import costs, groups, verdict
from lottery.analysis.groups import Group
from lottery.analysis.verdict import NOT_RUN, YES, Difference, Ladder
from lottery.data import DATASETS
from lottery.models import MODELS
from lottery.report.published import PUBLISHED
from lottery.runs.record import Record

FIVE = ["Train Loss (BEST)", "Train Acc. (BEST)", "Test Loss", "Test Acc."]  # beside the model
ACCURACY_SD = "Test Acc. SD"
LEFT = ("Dataset", "Report", "Arm", "Differs in", "Condition", "Source", "Networks", "Protocol")
WORDS = ("Model", *LEFT, "They report")  # columns set from the left
# dataset, model: best train loss, its accuracy, test loss, accuracy; as that report printed them
EARLIER = {
    ("imdb", "cnn"): ("0.062", "97.82 %", "0.273", "88.88 %"),
    ("imdb", "lstm"): ("0.209", "91.82 %", "0.245", "90.54 %"),
    ("agnews", "cnn"): ("0.082", "97.24 %", "0.310", "89.52 %"),
    ("agnews", "lstm"): ("0.206", "92.82 %", "0.263", "91.17 %"),
}
# What a ticket is compared with, and one more: heads of columns and fields of `verdict.Rung`.
COMPARED = {
    "less dense": "dense",
    "less random init": "random",
    "less random mask": "random_mask",
    "less shuffled mask": "shuffled",
    "less small dense": "small",
    "less plain lt init": "plain",
    "random init less dense": "fresh",
    "random mask less dense": "size",
}


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
                "Seconds": f"{group.median('seconds'):.0f}",
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


def answer(records: Iterable[Record]) -> str:
    """What the records of one dataset say in words: each model's verdict, for printing."""
    records = _of_one_dataset(records)
    found = verdict.ladders(records)
    lines = []
    if any(ladder.generated for ladder in found):
        lines += ["These texts are generated: nothing here is a result on real ones.", ""]
    for model in MODELS:
        own = [ladder for ladder in found if ladder.model == model]
        lines += [model.upper(), *(_wrapped(line) for line in said_of(own)), ""]
    return "\n".join(lines).rstrip()


def said_of(found: Iterable[Ladder]) -> list[str]:
    """The verdict on one model: its plain ladder in full, a sentence for each other way."""
    found = list(found)
    if not found:
        return [f"{NOT_RUN}."]
    plain = [ladder for ladder in found if not ladder.name]
    lines = verdict.verdict(plain[0]) if plain else [f"Plain lt init: {NOT_RUN}."]
    lines += [verdict.variant_words(ladder) for ladder in found if ladder.name]
    return lines + verdict.missing_ways(found)


def differences(records: Iterable[Record]) -> pd.DataFrame:
    """One row a ladder's rung: tickets less each other arm, in points, with 95 % intervals."""
    found = verdict.ladders(_of_one_dataset(records))
    rows, models = [], []
    for ladder in found:
        for rung in ladder.rungs:
            measured = {head: getattr(rung, name) for head, name in COMPARED.items()}
            cells = {head: _difference(one) for head, one in measured.items()}
            counts = {one.interval.seeds for one in measured.values() if one.interval}
            rows.append(
                {
                    "Arm": ", ".join(filter(None, (groups.ARM_LABELS["lt"], ladder.name))),
                    "Sparsity": f"{verdict.percent(rung.sparsity)} %",
                    **cells,
                    "Seeds": " or ".join(map(str, sorted(counts, reverse=True))) or "0",
                }
            )
            models.append(ladder.model)
    return _without_unrun(_framed(rows, models), [*COMPARED][1:])


def comparisons(found: Iterable[Ladder]) -> tuple[int, int]:
    """How many intervals the table of differences holds: of several seeds, of a single one."""
    rungs = [rung for ladder in found for rung in ladder.rungs]
    measured = [getattr(rung, name) for rung in rungs for name in COMPARED.values()]
    measured = [one for one in measured if one.interval is not None]
    single = sum(one.one_seed for one in measured)
    return len(measured) - single, single


def conditions(records: Iterable[Record]) -> pd.DataFrame:
    """The strict conditions of Ma et al. (2021): a row each and their grade, a column a rung."""
    found = [ladder for ladder in verdict.ladders(_of_one_dataset(records)) if not ladder.name]
    steps = sorted({rung.sparsity for ladder in found for rung in ladder.rungs})
    rows, models = [], []
    for ladder in found:
        here = f", at {verdict.power(ladder.learning_rate)}"
        by_step = {rung.sparsity: rung for rung in ladder.rungs}
        for number, condition in enumerate((*verdict.CONDITIONS, "prize")):
            row = {"Condition": condition}
            for step in steps:
                head = f"{verdict.percent(step)} %"
                if step not in by_step:
                    row[head] = NOT_RUN
                elif number == len(verdict.CONDITIONS):
                    row[head] = by_step[step].prize
                else:
                    state = by_step[step].conditions[number]
                    # One learning rate was tried; of it alone 3 to 5 can tell.
                    decided = number >= 2 and state in (YES, verdict.NO)
                    row[head] = state + here if decided else state
            rows.append(row)
            models.append(ladder.model)
    return _framed(rows, models)


def savings(records: Iterable[Record]) -> pd.DataFrame:
    """Parameters and multiply-adds of dense network and tickets (Blalock et al. 2020)."""
    records = [record for record in _of_one_dataset(records) if not record.failed]
    found = [g for g in groups.groups(groups.main(records)) if g.settings.arm in ("dense", "lt")]
    seen, rows, models = set(), [], []
    for group in found:
        one = group.records[0]
        kept = one.settings.model, tuple(sorted(one.layers.items()))
        if kept in seen:  # other starting weights, or another seed, in masks of the same sizes
            continue
        seen.add(kept)
        tokens = costs.text_length(one.settings)
        now = costs.cost(one.settings, one.layers, tokens)
        was = costs.cost(one.settings, costs.full(one.layers), tokens)
        rows.append(
            {
                "Arm": groups.label(one.settings),
                "Sparsity": _percent(one.sparsity),
                "Parameters": f"{now.parameters:,}",
                "Compression": _times(was.parameters, now.parameters),
                "Without embedding": f"{now.others:,}",
                "Its compression": _times(was.others, now.others),
                "Multiply-adds": f"{now.multiply_adds / 1e6:,.2f} M",
                "Speed-up": _times(was.multiply_adds, now.multiply_adds),
            }
        )
        models.append(one.settings.model)
    return _framed(rows, models)


def published() -> pd.DataFrame:
    """What others report, and how their protocol differs."""
    rows = [
        {"Networks": p.networks, "They report": p.finding, "Protocol": p.protocol}
        for p in PUBLISHED
    ]
    frame = pd.DataFrame(rows, index=[p.source for p in PUBLISHED])
    frame.columns.name = "Source"
    return frame


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


def _difference(found: Difference) -> str:
    """ "+0.12 (−0.10 to +0.34)", McNemar's p for a single seed, † if seeds agree by luck."""
    given = found.interval
    if given is None:
        return NOT_RUN
    low, high = verdict.points(given.low), verdict.points(given.high)
    p = f", p {verdict.p_value(found.p)}" if found.one_seed else ""
    mark = " †" if given.is_lucky else ""
    return f"{verdict.points(given.mean)} ({low} to {high}){p}{mark}"


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 98, initial_indent="- ", subsequent_indent="  ")


def _without_unrun(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Drop those of `columns` in which nothing was run."""
    return frame.drop(columns=[c for c in columns if c in frame and (frame[c] == NOT_RUN).all()])


def _times(was: int, now: int) -> str:
    return f"{was / now:.2f}" if now else "–"


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


def markdown(frame: pd.DataFrame) -> str:
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
