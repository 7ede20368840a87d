"""What was measured of networks stands in the report, if it was, beside what their records hold."""

from __future__ import annotations

import json

import pytest

from helpers.pictures import named
from helpers.synthetic import study
from lottery.files import UserError
from lottery.report import page, speed
from lottery.report.figures.picture import png
from lottery.report.figures.speed import speed_curve
from lottery.report.words import percent
from lottery.runs.store import Store
from lottery.upkeep.verify import _written

RECORDS = [*study("imdb"), *study("agnews")]
MACHINE = {"machine.cpu": "a slow one", "machine.threads": 2, "machine.torch": "2.6.0"}


def measured(records) -> dict:
    """Made-up figures of every dense and lt run."""
    rows = []
    for n, one in enumerate(r for r in records if r.settings.arm in ("dense", "lt")):
        ticket = {"ticket": 1.0} if one.settings.rung else {"torch": 4.0, "dense": 2.0}
        for way, ms in ticket.items():
            s = one.settings
            known = {"dataset": s.dataset, "model": s.model, "way": way, "run": one.run}
            cost = {"bytes": 10**6 * (n + 1), "mib": 300.4, "ms_1": ms, "ms_64": 20 * ms}
            rows.append(known | cost | {"texts_a_second": 12_345.6 / ms})
    return {"machine": MACHINE, "rounds": 15, "rows": rows}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results")
    for one in RECORDS:
        store.put(one)
    return store


def written(store, content=None) -> str:
    path = store.root / "speed.json"
    if content is not None:
        path.write_text(content)
    return page.write(store, say=lambda _: None).read_text(encoding="utf-8")


def test_a_report_without_measurements_has_no_such_section(store):
    assert "measured" not in written(store)
    assert not (store.root / "figures" / "speed.png").exists()


def test_what_was_measured_stands_beside_its_record(store):
    found = measured(RECORDS)
    text = written(store, json.dumps(found))
    part = text.split("## Size and speed, measured\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(cells) == 2 + len(found["rows"]) == 2 + 12
    rows = [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    by_run = {(r.settings.dataset, r.settings.model, r.run): r for r in RECORDS}
    for row, of in zip(rows, found["rows"], strict=True):
        record = by_run[of["dataset"], of["model"], of["run"]]
        assert row["Test Acc."] == percent(record.test_accuracy)
        assert row["1 text, ms"] == f"{of['ms_1']:.2f}"
        assert row["64 texts, ms"] == f"{of['ms_64']:.2f}"
        assert row["A second"] == f"{of['texts_a_second']:,.0f}"
        assert row["Disk, MB"] == f"{of['bytes'] / 1e6:.2f}" and row["Memory, MiB"] == "300"
    assert "On a slow one with 2 threads, PyTorch 2.6.0" in part
    assert "results/figures/speed.png" in part and (store.root / "figures" / "speed.svg").exists()
    assert _written(store, RECORDS, 0) == ([], []), "verify knows it"


def test_a_run_without_a_record_is_not_shown(store):
    found = measured(RECORDS)
    found["rows"][0]["run"] = "0123456789ab"
    read = speed.table(speed.Speed(MACHINE, 1, tuple(map(row, found["rows"]))), RECORDS)
    assert len(read) == 11
    assert "Size and speed, measured" not in written(
        store, json.dumps(found | {"rows": found["rows"][:1]})
    )


def test_pairs_stand_in_their_order_whatever_the_file_has():
    rows = tuple(map(row, measured(RECORDS)["rows"][::-1]))
    names = list(dict.fromkeys(speed.table(speed.Speed(MACHINE, 1, rows), RECORDS).index))
    assert names == ["IMDb CNN", "IMDb LSTM", "AG-news CNN", "AG-news LSTM"]


def row(values) -> speed.Measured:
    return speed.Measured(**values)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"machine": {}, "rounds": 1, "rows": []}', '{"rows": [{"way": 1}]}']
)
def test_a_file_of_something_else_is_named(store, content):
    with pytest.raises(UserError, match=r"speed\.json: is not what the benchmark writes"):
        written(store, content)


def test_the_figure_has_a_panel_a_pair_and_a_point_a_way():
    read = speed.Speed(MACHINE, 15, tuple(map(row, measured(RECORDS)["rows"])))
    assert speed_curve(None, RECORDS) is None and speed_curve(read, []) is None
    figure = speed_curve(read, RECORDS)
    assert [axes.get_title() for axes in figure.axes] == [
        *("IMDb, CNN", "IMDb, LSTM", "AG-news, CNN", "AG-news, LSTM")
    ]
    looks = set()
    for axes in figure.axes:
        lines = named(axes)
        assert list(lines) == list(speed.WAYS.values())
        for name, ms in (("dense", 2.0), ("ticket", 1.0)):
            assert lines[name].get_xdata()[0] == ms
        looks |= {(name, line.get_marker()) for name, line in lines.items()}
    assert len({marker for _, marker in looks}) == 3, "apart in grey"
    png(figure)
    one = [r for r in RECORDS if r.settings.pair == ("imdb", "cnn")]
    assert len(speed_curve(read, one).axes) == 1
