from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.synthetic import record, right, study, world
from lottery.analysis import groups, verdict
from lottery.analysis.intervals import Interval
from lottery.recipes import RECIPES
from lottery.report import figures, tables
from lottery.report import page as report
from lottery.runs.store import COLUMNS, Store, table

ROOT = Path(__file__).parents[2]
REAL = ("imdb", "agnews")


def filled(root: Path, records) -> Store:
    store = Store(root)
    for one in records:
        store.put(one)
    return store


def written(store: Store) -> str:
    return report.write(store, say=lambda line: None).read_text(encoding="utf-8")


def rows(text: str, heading: str, dataset: str = "IMDb") -> list[dict[str, str]]:
    """The table below a heading of one dataset's part."""
    part = text.split(f"\n## {dataset}")[1].split("\n## ")[0]
    body = part.split(f"{heading}\n")[1].split("\n#")[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


# The shape


def test_the_report_has_the_shape_its_reader_knows(tmp_path):
    text = written(filled(tmp_path / "results", [*study("imdb"), *study("agnews")]))
    top, rest = text.split("\n## IMDb\n")
    answers = [line for line in top.splitlines() if line.startswith("- ")]
    assert [line.split("**")[1] for line in answers] == [
        *("IMDb, CNN", "IMDb, LSTM", "AG-news, CNN", "AG-news, LSTM", "Together")
    ]
    assert rest.startswith(
        "- 사용한 모델: ``CNN``, ``LSTM``\n"
        "- global setting\n"
        "  - train ``28000`` valid ``12000`` test ``1000``\n"
        "  - initialization: ``Xavier(normal)``\n"
        "  - criterion: ``BCEWithLogitsLoss``\n"
        "  - optimizer: ``Adam``\n"
        "  - learning rate ``1e-3`` batchsize ``64`` epoch ``10``\n"
    )
    assert re.findall(r"^##+ .*", text, re.M) == [
        *(
            heading
            for title in ("## IMDb", "## AG-news")
            for heading in (
                title,
                "### Result",
                "#### Before Pruning",
                "#### After Pruning (random init)",
                "#### After Pruning (lt init)",
                "### Sparsity curve",
                "### All rungs and arms",
            )
        ),
        "## Beside the earlier report",
        *(
            heading
            for title in ("IMDb", "AG-news")
            for heading in (
                f"## Evidence: {title}",
                "### Verdict",
                "### Differences",
                "### Strict conditions",
                "### Size and speed on paper",
                "### When the best epoch comes",
                "### What each layer keeps",
            )
        ),
        "## What others report",
        "## Method",
    ]
    first = "Model", "Train Loss (BEST)", "Train Acc. (BEST)", "Test Loss", "Test Acc."
    for heading in ("Before Pruning", "After Pruning (random init)", "After Pruning (lt init)"):
        for dataset in ("IMDb", "AG-news"):
            found = rows(text, f"#### {heading}", dataset)
            assert [row["Model"] for row in found] == ["CNN", "LSTM"]
            assert tuple(found[0])[:5] == first
            assert list(found[0])[5:] == ["Sparsity", "Seeds"]  # one seed has no deviation
    assert "criterion: ``CrossEntropyLoss``" in text.split("## AG-news")[1]


def test_settings_are_those_of_the_records():
    records = study(learning_rate=5e-4, batch_size=32, max_tokens=123, word_dropout=0.4)
    slower = [record("imdb", "lstm", epochs=7, learning_rate=0.0125)]
    text = report.page([r for r in records if r.settings.model == "cnn"] + slower, ["imdb"], {})
    assert "learning rate ``5e-4`` (CNN), ``1.25e-2`` (LSTM) batchsize ``32`` (CNN)" in text
    assert "epoch ``10`` (CNN), ``7`` (LSTM)" in text
    assert "texts cut at ``123`` (CNN), ``400`` (LSTM) tokens" in text
    assert "  - CNN not at its defaults: word_dropout 0.4\n" in text
    assert "LSTM not at its defaults" not in text
    other = replace(slower[0], data=slower[0].data | {"rows": {"train": 5, "valid": 6, "test": 7}})
    assert "train ``5`` valid ``6`` test ``7``" in report.page([other], ["imdb"], {})


# The figures


def test_every_figure_comes_from_a_record():
    records = study()
    frames = {
        "dense": report.before(records),
        "random": report.after(records, "random"),
        "lt": report.after(records, "lt"),
    }
    for arm, before in frames.items():
        for model in ("cnn", "lstm"):
            changed = [
                replace(
                    one,
                    test_loss=0.111,
                    test_accuracy=0.2222,
                    history=tuple(
                        replace(e, train_loss=0.1 * e.epoch, train_accuracy=0.3 * e.epoch)
                        for e in one.history
                    ),
                )
                if (one.settings.arm, one.settings.model) == (arm, model)
                else one
                for one in records
            ]
            after = report.before(changed) if arm == "dense" else report.after(changed, arm)
            row = after.loc[model.upper()]
            assert [row[name] for name in tables.FIVE] == ["0.200", "60.00 %", "0.111", "22.22 %"]
            other = "LSTM" if model == "cnn" else "CNN"
            assert after.loc[other].equals(before.loc[other])


def test_means_and_deviations_by_hand():
    records = [record(accuracy=a, loss=x) for a, x in [(0.9, 0.2)]]
    records += [record(seed=1, accuracy=0.91, loss=0.3), record(seed=2, accuracy=0.95, loss=0.4)]
    row = report.before(records).loc["CNN"]
    # Mean of 90, 91, 95; deviations -2, -1, 3: the square root of 14 / 2.
    assert (row["Test Acc."], row["Test Acc. SD"]) == ("92.00 %", "2.65 %")
    assert (row["Test Loss"], row["Seeds"]) == ("0.300", "3")
    assert row["Train Loss (BEST)"] == "0.120"  # of the second epoch: the loss less 0.18
    (row,) = report.rungs(records).to_dict("records")
    assert (row["Test Acc."], row["Test Acc. SD"], row["Seeds"]) == ("92.00 %", "2.65 %", "3")


def test_one_seed_beside_several_has_a_dash_for_its_deviation():
    frame = report.before([record(), record(seed=1), record(model="lstm")])
    assert frame.loc["LSTM", "Test Acc. SD"] == "–"


def test_sparsities_are_the_exact_ones():
    one = record(arm="lt", ladder=(0.5,))
    layers = {"embedding.weight": (30, 100), "convolution.weight": (7, 8), "output.weight": (1, 4)}
    (row,) = report.rungs([replace(one, layers=layers)]).to_dict("records")
    assert row["Sparsity"] == "33.93 %"  # 38 of 112
    assert row["Without embedding"] == "66.67 %"  # 8 of 12


def test_all_rungs_stand_in_the_table_and_the_first_in_the_others():
    records = study(ladder=(0.5, 0.75), seeds=(0, 1), models=("cnn",))
    frame = report.rungs(records)
    assert list(zip(frame["Arm"], frame["Sparsity"], strict=True)) == [
        ("dense", "0.00 %"),
        ("lt init", "50.00 %"),
        ("random init", "50.00 %"),
        ("lt init", "75.00 %"),
        ("random init", "75.00 %"),
    ]
    assert report.after(records, "lt").loc["CNN", "Sparsity"] == "50.00 %"
    text = report.page(records, ["imdb"], {})
    assert text.count("Lowest sparsity of each model; all rungs are in the table below.") == 2


def test_the_number_of_seeds_is_that_of_the_rung():
    records = study(ladder=(0.5, 0.75), seeds=(0, 1), models=("cnn",))
    records = [r for r in records if (r.settings.seed, r.settings.rung) != (1, 2)]
    frame = report.rungs(records)
    assert list(frame["Seeds"]) == ["2", "2", "2", "1", "1"]


# The evidence


def test_differences_in_words():
    points = {"lt": (0, 0), "random": (-2, -2), "random_mask": (None, -2)}
    frame = report.differences(world(points))
    assert list(frame["Sparsity"]) == ["50 %", "75 %"]
    assert list(frame["Seeds"]) == ["5", "5"]
    assert list(frame) == [
        *("Arm", "Sparsity", "less dense", "less random init", "less random mask"),
        *("random init less dense", "random mask less dense", "Seeds"),
    ]  # no shuffled mask was run
    assert re.fullmatch(
        r"\+2\.00 \(\+1\.[78]\d to \+2\.[12]\d\)( †)?", frame["less random init"].iloc[0]
    )
    assert frame["less random mask"].iloc[0] == "not run"
    assert frame["random mask less dense"].iloc[1].startswith("−2.00 (−2.")


def test_seeds_that_agree_by_luck_are_marked():
    lucky = verdict.Difference(Interval(0.01, 0.006, 0.014, 3, of_examples=0.008))
    assert tables._difference(lucky) == "+1.00 (+0.60 to +1.40) †"
    plain = verdict.Difference(Interval(0.01, 0.006, 0.014, 3, of_examples=0.003))
    assert tables._difference(plain) == "+1.00 (+0.60 to +1.40)"


def test_one_seed_has_its_p():
    one = [
        record(correct=right(0.9, 0, "a")),
        record(arm="lt", ladder=(0.5,), correct=right(0.9, 0, "a")),
    ]
    (row,) = report.differences(one).to_dict("records")
    assert row["less dense"] == "0.00 (−0.05 to +0.05), p 1.000"
    assert row["Seeds"] == "1"


def test_numbers_of_seeds_that_differ_are_both_told():
    records = world({"lt": (0,), "random": (-2,)})
    records = [r for r in records if (r.settings.arm, r.settings.seed) != ("random", 3)]
    assert list(report.differences(records)["Seeds"]) == ["5 or 4"]


def test_the_answer_for_a_notebook():
    records = world({"lt": (0,), "random": (-2,)})
    text = report.answer(records)
    assert text.startswith("CNN\n- Ticket: a winning ticket at 50 % sparsity, the only one")
    assert text.endswith("LSTM\n- not run.")
    assert max(map(len, text.splitlines())) <= 98
    longer = report.answer(world({"lt": (0, 0), "random": (-2, -2)}))
    assert "a winning ticket up to 75 % sparsity" in longer
    assert report.answer(world({"lt": (0,)}, dataset="demo-news")).startswith(
        "These texts are generated: nothing here is a result on real ones."
    )
    assert report.answer([]) == "CNN\n- not run.\n\nLSTM\n- not run."


def test_comparisons_are_counted():
    points = {"lt": (0, 0), "random": (-2, None), "random_mask": (None, -2)}
    # Two with dense, one with random init, one with the random mask, and those two with dense.
    assert tables.comparisons(verdict.ladders(world(points))) == (6, 0)
    text = report.page(world(points), ["imdb"], {})
    assert "hold 6 intervals of several seeds" in text
    assert "single seed" not in text.split("## Method")[1]
    records = [r for r in world(points) if r.settings.seed == 0 or r.settings.arm != "random_mask"]
    assert tables.comparisons(verdict.ladders(records)) == (4, 2)
    assert "; 2 of a single seed say nothing of other seeds." in report.page(records, ["imdb"], {})


def test_every_ladder_has_its_rows():
    records = {r.run: r for r in world({"lt": (0, 0)})}
    records |= {r.run: r for r in world({"lt": (0,)}, rewind_step=438)}
    frame = report.differences(records.values())
    assert list(frame["Arm"]) == ["lt init", "lt init", "lt init, rewind_step 438"]


OPEN = ["not decided (not run)"]


def test_conditions_stand_in_rows_and_rungs_in_columns():
    records = world({"lt": (0, 0), "random": (-2, -0.5)}, learning_rate=5e-4)
    records += world({"lt": (-3,), "random": (-3,)}, (0.7,), model="lstm")
    frame = report.conditions(records)
    assert list(frame) == ["Condition", "50 %", "70 %", "75 %"]
    assert list(frame.index) == ["CNN"] * 6 + ["LSTM"] * 6
    own = frame.loc["CNN"].set_index("Condition")
    assert list(own["50 %"]) == [
        *("no", "not decided (not run)", "yes, at 5e-4", "yes, at 5e-4", *OPEN, "no prize")
    ]
    assert own["75 %"].iloc[2] == "not decided"
    assert own["75 %"].iloc[5] == "not decided"
    assert set(own["70 %"]) == {"not run"}
    other = frame.loc["LSTM"].set_index("Condition")
    assert list(other["70 %"])[2:] == ["no, at 1e-3"] * 3 + ["no prize"]


def test_savings_of_a_ladder():
    layers = {"embedding.weight": 8000, "convolutions.0.weight": 400, "output.weight": 300}
    options = {"layers": layers, "filters": 2, "widths": (3,)}
    records = [record(**options), record(arm="lt", ladder=(0.5,), **options)]
    records.append(record(arm="lt", ladder=(0.5,), rewind_step=9, **options))
    dense, half = report.savings(records).to_dict("records")  # rewinding saves no more
    assert (dense["Parameters"], dense["Compression"]) == ("8,703", "1.00")  # 3 biases
    assert (half["Parameters"], half["Compression"]) == ("4,353", "2.00")
    assert (half["Without embedding"], half["Its compression"]) == ("353", "1.99")
    assert (half["Multiply-adds"], half["Speed-up"]) == ("0.04 M", "2.00")


def test_texts_are_no_longer_than_they_are_cut():
    records = world({"lt": (0,)}) + world({"lt": (0,)}, model="lstm", max_tokens=123)
    text = report.page(records, ["imdb"], {})
    assert "for a text of 123 or 200 tokens;" in text
    assert "for a text of 200 tokens;" in report.page(world({"lt": (0,)}), ["imdb"], {})


def test_the_report_answers_from_its_records():
    good = world({"lt": (0, 0), "random": (-2, -2)})
    poor = world({"lt": (-3, -3), "random": (-2, -2)})
    first = "- **IMDb, CNN**: a winning ticket up to 75 % sparsity, the highest that was run; "
    text = report.page(good, ["imdb"], {})
    assert first in text
    assert "- IMDb, CNN: a winning ticket up to 75 % sparsity" in text.split("\nHere:\n")[1]
    assert "- **IMDb, CNN**: no winning ticket at 50 and 75 %" in report.page(poor, ["imdb"], {})
    late = [r for r in world({"lt": (0,)}, rewind_step=438) if r.settings.rung]
    text = report.page([*good, *late], ["imdb"], {})
    assert "- Late rewinding to step 438: a winning ticket at" in text
    assert "- Late rewinding: not run." in report.page(good, ["imdb"], {})
    cnn = text.split("**CNN**")[1].split("**LSTM**")[0]
    assert "- Global pruning: not run." in cnn
    assert "Late rewinding: not run" not in cnn


def test_a_report_on_generated_texts_says_so_in_its_answer():
    text = report.page(world({"lt": (0,)}, dataset="demo-reviews"), ["demo-reviews"], {})
    answers = [line for line in text.splitlines() if line.startswith("- **Together**")]
    assert answers[0].endswith("These texts are generated, so this says nothing about real ones.")
    assert "What others report" not in text


def test_what_others_report_has_a_source_each():
    frame = report.published()
    assert all(re.search(r"\(arXiv \d{4}\.\d{5}\)", source) for source in frame.index)


# What is not averaged


def test_protocols_are_never_mixed():
    many = [record(seed=seed, accuracy=0.9) for seed in range(3)]
    few = [record(seed=seed, accuracy=0.5, max_tokens=600) for seed in range(2)]
    assert report.before(few + many).loc["CNN", "Test Acc."] == "90.00 %"
    assert len(report.rungs(few + many)) == 1
    (row,) = report.other_settings(few + many).to_dict("records")
    assert (row["Differs in"], row["Test Acc."], row["Seeds"]) == ("max_tokens 600", "50.00 %", "2")
    text = report.page(few + many, ["imdb"], {})
    assert "### Other settings" in text
    assert "### Other settings" not in report.page(many, ["imdb"], {})


def test_a_trial_with_more_seeds_does_not_replace_the_recipe():
    recipe = [record(accuracy=0.9, **RECIPES["imdb", "cnn"])]
    trial = [record(seed=seed, accuracy=0.5) for seed in range(5)]
    assert groups.main(trial + recipe) == recipe
    assert groups.main(trial) == trial


def test_one_slow_seed_does_not_make_the_time():
    records = [record(seed=seed, seconds=s) for seed, s in enumerate((101, 2567, 99))]
    assert report.rungs(records).loc["CNN", "Seconds"] == "101"


def test_of_protocols_with_as_many_records_the_nearest_to_the_defaults_is_shown():
    far = record(accuracy=0.5, epochs=20, max_tokens=600)
    near = record(accuracy=0.6, epochs=20)
    assert groups.main([far, near]) == [near]


def test_corpora_of_other_texts_are_never_mixed():
    here = [record(seed=seed, accuracy=0.9) for seed in range(2)]
    there = [record(seed=2, accuracy=0.5, fingerprint="fedcba9876543210")]
    assert report.before(here + there).loc["CNN", "Test Acc."] == "90.00 %"
    (row,) = report.other_settings(here + there).to_dict("records")
    assert row["Differs in"] == "data fedcba987654"


def test_late_rewinding_and_global_pruning_stand_apart():
    plain = record(arm="lt", ladder=(0.5,), accuracy=0.9)
    late = record(arm="lt", ladder=(0.25,), accuracy=0.8, rewind_step=438)
    beside = record(arm="lt", ladder=(0.5,), accuracy=0.6, rewind_step=438)
    overall = record(arm="lt", ladder=(0.5,), accuracy=0.7, scope="global")
    records = [late, overall, plain]
    assert report.after(records, "lt").loc["CNN", "Test Acc."] == "90.00 %"
    assert report.after([*records, beside], "lt").loc["CNN", "Test Acc."] == "90.00 %"
    assert list(report.rungs([plain, beside])["Test Acc."]) == ["90.00 %", "60.00 %"]
    frame = report.rungs(records).set_index("Arm")
    assert frame.loc["lt init", "Test Acc."] == "90.00 %"
    assert frame.loc["lt init, rewind_step 438", "Test Acc."] == "80.00 %"
    assert frame.loc["lt init, scope global", "Test Acc."] == "70.00 %"
    assert "CNN here with" not in report.page(records, ["imdb"], {})
    assert "\nCNN here with rewind_step 438.\n" in report.page([late], ["imdb"], {})


def test_the_same_sparsity_by_two_ladders_is_two_rows():
    records = [record(arm="lt", ladder=ladder) for ladder in ((0.5, 0.75), (0.75,))]
    assert set(report.rungs(records)["Arm"]) == {
        "lt init, ladder [0.75]",
        "lt init, ladder [0.5, 0.75]",
    }


def test_a_table_refuses_two_datasets():
    for pair in (
        [record("imdb"), record("agnews")],
        [record("imdb"), record("imdb", seed=1, generated=True)],
    ):
        for make in (report.before, report.rungs, report.other_settings):
            with pytest.raises(ValueError, match="one dataset"):
                make(pair)


def test_generated_and_real_corpora_never_meet(tmp_path):
    records = [*study("imdb"), *study("demo-reviews"), record(seed=9, generated=True)]
    said: list[str] = []
    real = filled(tmp_path / "results", records)
    text = report.write(real, say=said.append).read_text(encoding="utf-8")
    assert "demo" not in text
    assert "- 6 runs" in text
    assert sum("is not in this report" in line for line in said) == 7
    assert any(str(real.record_path(records[-1].settings)) in line for line in said)
    assert not list((tmp_path / "results").glob("demo-*.csv"))

    path = report.write(filled(tmp_path / "results" / "demo", records), say=said.append)
    assert path == tmp_path / "results" / "demo" / "week9.md"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Week 9 on generated corpora (demo-reviews, demo-news)\n")
    assert "IMDb" not in text
    assert "earlier report" not in text
    assert "- 6 runs" in text


# What is not there


def test_without_records_every_cell_says_so(tmp_path):
    text = written(Store(tmp_path / "results"))
    for dataset in ("IMDb", "AG-news"):
        for heading in ("Before Pruning", "After Pruning (random init)", "After Pruning (lt init)"):
            for row in rows(text, f"#### {heading}", dataset):
                assert set(list(row.values())[1:]) == {"not run", "0"}
    assert not list((tmp_path / "results").rglob("*.png"))
    assert (tmp_path / "results" / "imdb.csv").read_text() == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("missing", ["dense", "lt", "random"])
def test_a_missing_record_is_a_row_not_run(missing):
    records = [
        one for one in study() if (one.settings.model, one.settings.arm) != ("lstm", missing)
    ]
    for arm in ("dense", "lt", "random"):
        frame = report.before(records) if arm == "dense" else report.after(records, arm)
        gone = [model for model in frame.index if frame.loc[model, "Test Acc."] == "not run"]
        assert gone == (["LSTM"] if arm == missing else [])


def test_no_cell_is_empty_or_not_a_number():
    mixed = study(ladder=(0.5, 0.75), seeds=(0, 1), models=("cnn",))
    mixed += [record(model="lstm"), record(seed=5, max_tokens=9), record(seed=6, max_tokens=9)]
    for records in ([], [record()], study(), mixed):
        text = report.page(records, REAL, {})
        assert not re.search(r"\b(nan|NaN|None|inf|NaT)\b", text)
        for line in text.splitlines():
            if line.startswith("|"):
                assert all(cell.strip() for cell in line.strip("|").split("|")), line


# Files


def test_the_table_holds_every_run_once(tmp_path):
    records = [*study("imdb", ladder=(0.5, 0.75), seeds=(0, 1)), *study("agnews")]
    written(filled(tmp_path / "results", records))
    for dataset in REAL:
        own = {r.run: r for r in records if r.settings.dataset == dataset}
        with (tmp_path / "results" / f"{dataset}.csv").open(newline="") as file:
            found = list(csv.DictReader(file))
        assert list(found[0]) == COLUMNS
        assert sorted(row["run"] for row in found) == sorted(own)
        for row in found:
            assert float(row["test_accuracy"]) == own[row["run"]].test_accuracy
            assert float(row["valid_loss"]) == own[row["run"]].best.valid_loss


def test_the_same_records_give_the_same_bytes(tmp_path):
    records = [*study("imdb", ladder=(0.5, 0.75), seeds=(0, 1)), *study("agnews")]
    contents = []
    for name, order in (("one", records), ("two", records[::-1])):
        written(filled(tmp_path / name / "results", order))
        files = [p for p in sorted((tmp_path / name).rglob("*")) if p.is_file()]
        contents.append({p.relative_to(tmp_path / name): p.read_bytes() for p in files})
    assert contents[0] == contents[1]
    assert {p.name for p in contents[0] if p.suffix != ".json"} == {
        *("week9.md", "imdb.csv", "agnews.csv"),
        *(f"{dataset}-{kind}.png" for dataset in REAL for kind in figures.PICTURES),
    }
    for name, content in contents[0].items():
        if name.suffix == ".png":
            assert b"tEXt" not in content  # no program, version or date is named


def test_order_of_records_does_not_matter():
    records = study(ladder=(0.5, 0.75), seeds=(0, 1, 2))
    page = report.page(records, ["imdb"], {})
    for seed in range(5):
        shuffled = [records[i] for i in np.random.default_rng(seed).permutation(len(records))]
        assert report.page(shuffled, ["imdb"], {}) == page


@pytest.mark.parametrize("content", ["{", "[]", '{"run": 1}', ""])
def test_an_unreadable_record_is_named_and_kept(tmp_path, content):
    store = filled(tmp_path / "results", study())
    bad = tmp_path / "results" / "runs" / "imdb" / "cnn" / "0badbadbad00.json"
    bad.write_text(content)
    said: list[str] = []
    text = report.write(store, say=said.append).read_text(encoding="utf-8")
    assert sum(str(bad) in line for line in said) == 1
    assert text.endswith("Records that could not be read, and are not in this report: 1.\n")
    assert str(tmp_path) not in text
    assert bad.read_text() == content
    assert report.before(study()).loc["CNN", "Test Acc."] in text


def test_the_report_lies_beside_a_real_store_and_where_it_is_told(tmp_path):
    store = filled(tmp_path / "results", study())
    assert report.write(store, say=str) == tmp_path / "week9.md"
    other = report.write(store, tmp_path / "a" / "b.md", say=str)
    assert "](../results/figures/imdb-sparsity.png)" in other.read_text(encoding="utf-8")


def test_a_store_named_from_the_working_directory(tmp_path, monkeypatch):
    filled(tmp_path / "results", study())
    monkeypatch.chdir(tmp_path)
    report.write(Store(Path("results")), say=str)
    text = (tmp_path / "week9.md").read_text(encoding="utf-8")
    assert "](results/figures/imdb-sparsity.png)" in text


@pytest.mark.parametrize("kind", ["real", "demo"])
def test_links_lead_somewhere(tmp_path, kind):
    root = tmp_path / "results" / ("" if kind == "real" else "demo")
    names = REAL if kind == "real" else ("demo-reviews", "demo-news")
    path = report.write(filled(root, [*study(names[0]), *study(names[1])]), say=str)
    links = re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
    pictures = [link for link in links if link.endswith(".png")]
    assert len(pictures) == 2 * len(figures.PICTURES)
    assert all((path.parent / link).is_file() for link in pictures)
    (method,) = {link for link in links if link.endswith("method.md")}
    assert method == {"real": "/docs/method.md", "demo": "../../docs/method.md"}[kind]
    assert (ROOT / "docs" / "method.md").is_file()
    books = [link for link in links if ".ipynb#" in link]
    assert len(books) == 6
    for link in books:
        file, anchor = link.split("#")
        place = Path(file[1:]) if file.startswith("/") else path.parent / file
        place = place if file.startswith("/") else place.resolve().relative_to(tmp_path.resolve())
        cells = json.loads((ROOT / place).read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        headings = re.findall(r"^#+ (.*)$", text, re.M)
        assert anchor in [heading.replace(" ", "-") for heading in headings]


def test_the_line_on_the_runs():
    records = [record(seconds=1800), record(seed=1, seconds=3600)]
    other = replace(record(seed=2, seconds=0.0), device="cuda (H)", versions={"torch": "2.6.0"})
    text = report.page([*records, other], ["imdb"], {})
    assert "- data: data/imdb.parquet, 418 repeated texts; fingerprint ``0123456789ab``\n" in text
    assert (
        "- 3 runs, 1.50 hours in all, on cpu (x86_64) and cuda (H); "
        "numpy 2.2.6, torch 2.13.0 and 2.6.0\n"
    ) in text


def test_beside_the_earlier_report():
    frame = report.beside_earlier([record("agnews", "lstm", accuracy=0.925, loss=0.2)])
    assert len(frame) == 8
    both = frame[frame["Dataset"] == "AG-news"].loc["LSTM"]
    assert list(both["Report"]) == ["this", "earlier"]
    assert list(both["Test Acc."]) == ["92.50 %", "91.17 %"]
    assert list(both["Test Loss"]) == ["0.200", "0.263"]
    assert (frame[frame["Report"] == "this"]["Test Acc."] == "not run").sum() == 3


def test_group_figures_are_those_of_the_tidy_table():
    records = study(seeds=(0, 1, 2))
    frame = table(records)
    for group in groups.groups(records):
        s = group.settings
        own = frame[(frame["model"] == s.model) & (frame["arm"] == s.arm)]
        assert group.seeds == len(own) == 3
        for column in ("test_accuracy", "valid_loss", "seconds"):
            assert group.mean(column) == pytest.approx(own[column].mean(), rel=1e-12)
            assert group.sd(column) == pytest.approx(own[column].std(ddof=1), abs=1e-12)
