"""The tables that its readers know, and every run behind them. Cells are words.

Every figure is computed from the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from lottery.analysis import groups, protocols, selection
from lottery.analysis.groups import Group
from lottery.analysis.verdict import NOT_RUN
from lottery.models import MODELS, label
from lottery.report.words import percent
from lottery.runs.record import Record

FIVE = ["Train Loss (BEST)", "Train Acc. (BEST)", "Test Loss", "Test Acc."]  # beside the model
ACCURACY_SD = "Test Acc. SD"
F1 = "Macro-F1"  # beside accuracy, of a corpus from outside


def before(records: Iterable[Record]) -> pd.DataFrame:
    """One row a model: the dense networks of one dataset."""
    return after(records, "dense")


def after(records: Iterable[Record], arm: str) -> pd.DataFrame:
    """One row a model: the first rung of `arm` in one dataset."""
    records = of_one_dataset(records)
    found = groups.groups(selection.in_report(records))
    rows = []
    names = models_of(records)
    for model in names:
        group = groups.first_rung(found, model, arm)
        rows.append(
            {
                **five(group),
                **_f1(records, group),
                "Sparsity": percent(group.mean("sparsity")) if group else NOT_RUN,
                "Seeds": seeds_of(group),
                ACCURACY_SD: _sd(group) if group else NOT_RUN,
            }
        )
    return framed(rows, names)


def rungs(records: Iterable[Record]) -> pd.DataFrame:
    """One row a model, rung and arm: means over the seeds, of one dataset and its main protocol."""
    records = of_one_dataset(records)
    found = groups.groups(selection.in_report(records))
    names = Counter(map(_name, found))
    rows = []
    for group in found:
        arm = protocols.label(group.settings)
        if names[_name(group)] > 1:  # the same sparsity by two ways
            arm += ", " + protocols.words({"ladder": group.settings.ladder})
        rows.append(
            {
                "Arm": arm,
                "Sparsity": percent(group.mean("sparsity")),
                "Without embedding": percent(group.mean("sparsity_without_embedding")),
                "Valid Acc. (BEST)": percent(group.mean("valid_accuracy")),
                "Test Loss": loss(group.mean("test_loss")),
                "Test Acc.": percent(group.mean("test_accuracy")),
                **_f1(records, group),
                ACCURACY_SD: _sd(group),
                "Seeds": str(group.seeds),
                "Best epoch": f"{group.mean('best_epoch'):.1f}",
                "Seconds": f"{group.median('seconds'):.0f}",
            }
        )
    return framed(rows, [group.settings.model for group in found])


def other_settings(records: Iterable[Record]) -> pd.DataFrame:
    """One row a model, protocol, rung and arm that the other tables leave out, and why."""
    records = of_one_dataset(records)
    chosen = {record.settings.model: record for record in selection.in_report(records)}
    apart = [
        record
        for record in selection.at_home(records)
        if protocols.identity(record) != protocols.identity(chosen[record.settings.model])
    ]
    rest = groups.groups([*apart, *selection.left_out(records)])
    rows = []
    for group in rest:
        usual, record = chosen[group.settings.model], group.records[0]
        differs = protocols.words(
            protocols.differences(record.settings.protocol, usual.settings.protocol)
        )
        if protocols.fingerprint(record) != protocols.fingerprint(usual):
            differs = ", ".join(
                filter(None, (differs, f"data {protocols.fingerprint(record)[:12]}"))
            )
        rows.append(
            {
                "Differs in": differs or "–",
                "Arm": protocols.label(group.settings),
                "Sparsity": percent(group.mean("sparsity")),
                "Test Loss": loss(group.mean("test_loss")),
                "Test Acc.": percent(group.mean("test_accuracy")),
                **_f1(records, group),
                ACCURACY_SD: _sd(group),
                "Seeds": str(group.seeds),
            }
        )
    return framed(rows, [group.settings.model for group in rest])


def models_of(records: Iterable[Record]) -> list[str]:
    """The models that a dataset's part is about; of a corpus from outside those that were run."""
    records = list(records)
    run = {record.settings.model for record in records if record.classes}
    return [model for model in MODELS if model in run or not run]


def five(group: Group | None) -> dict[str, str]:
    if group is None:
        return dict.fromkeys(FIVE, NOT_RUN)
    values = (
        loss(group.mean("train_loss")),
        percent(group.mean("train_accuracy")),
        loss(group.mean("test_loss")),
        percent(group.mean("test_accuracy")),
    )
    return dict(zip(FIVE, values, strict=True))


def _f1(records: Iterable[Record], group: Group | None) -> dict[str, str]:
    """A row's macro-F1, in a table of records that have one."""
    if not any(record.by_class for record in records):
        return {}
    return {F1: percent(group.mean("macro_f1")) if group else NOT_RUN}


def seeds_of(group: Group | None) -> str:
    """How many seeds a row has; none where nothing was run."""
    return str(group.seeds if group else 0)


def framed(rows: list[dict[str, str]], models: list[str]) -> pd.DataFrame:
    """Rows under their models; a column of standard deviations only if a row has one."""
    frame = pd.DataFrame(rows, index=[label(model) for model in models])
    frame = frame.rename_axis(columns="Model")  # a notebook shows it above the index, as a heading
    if ACCURACY_SD in frame and not frame[ACCURACY_SD].str.endswith("%").any():
        frame = frame.drop(columns=ACCURACY_SD)
    return frame


def of_one_dataset(records: Iterable[Record]) -> list[Record]:
    records = list(records)
    kinds = {(record.settings.dataset, bool(record.data["generated"])) for record in records}
    if len(kinds) > 1:
        raise ValueError(f"a table holds one dataset, not {sorted(kinds)}")
    return records


def _name(group: Group) -> tuple[str, float, str]:
    return group.settings.model, group.settings.sparsity, protocols.label(group.settings)


def loss(value: float) -> str:
    return f"{value:.3f}"


def _sd(group: Group) -> str:
    sd = group.sd("test_accuracy")
    return "–" if sd is None else percent(sd)
