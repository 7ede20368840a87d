from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.synthetic import record, right, study, world
from lottery import recipes, report
from lottery.analysis import selection
from lottery.analysis.frame import COLUMNS, SETTINGS
from lottery.analysis.intervals import Interval
from lottery.analysis.verdict import YES, Fact
from lottery.files import UserError
from lottery.pruning.tally import Words
from lottery.recipes import RECIPES
from lottery.report import beside, decay, evidence, grid, page, tables
from lottery.runs.store import Store
from lottery.upkeep.verify import verify

ROOT = Path(__file__).parents[2]
REAL = ("imdb", "agnews")
PICTURES = ("imdb-sparsity", "agnews-sparsity", "forest")  # what synthetic records have to show


def filled(root: Path, records) -> Store:
    store = Store(root)
    for one in records:
        store.put(one)
    return store


def written(store: Store) -> str:
    return page.write(store, say=lambda line: None).read_text(encoding="utf-8")


def rows(text: str, heading: str, dataset: str = "IMDb") -> list[dict[str, str]]:
    """The table below a heading of one dataset's part."""
    part = text.split(f"\n## {dataset}")[1].split("\n## ")[0]
    body = part.split(f"{heading}\n")[1].split("\n#")[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


# The shape


@pytest.mark.parametrize("name", report.__all__)
def test_a_notebook_shows_records_alone(name):
    show = getattr(report, name)
    more = ["lt"] * (name == "after")
    for given in (pd.DataFrame({"run": ["a"]}), None, [*study(), "cnn"]):
        says = f"^report.{name} takes a list of records, .* not this {type(given).__name__}$"
        with pytest.raises(UserError, match=says):
            show(given, *more)
    show(iter(study()), *more)


def test_a_mistyped_arm_is_not_read_as_one_that_was_not_run():
    records = [*study(), record(arm="theirs", ladder=(0.5,))]  # of a plug-in that is not here
    for show in (report.after, report.learning_curves):
        with pytest.raises(UserError, match="unknown arm 'randm': there are dense, lt, random"):
            show(records, "randm")
        assert show(records, "theirs") is not None
    assert "not run" in set(report.after(records, "finetune").loc["CNN"])


def test_the_report_has_the_shape_its_reader_knows(tmp_path):
    text = written(filled(tmp_path / "results", [*study("imdb"), *study("agnews")]))
    top, rest = text.split("\n## IMDb\n")
    assert top.startswith("# Week 9\n\n**")
    assert [line for line in top.splitlines() if line.startswith("| IMDb")]
    assert top.index("| Pair ") < top.index("- **How sure.**") < top.index("## Limits")
    assert rest.startswith(
        "- 사용한 모델: ``CNN``, ``LSTM``\n"
        "- global setting\n"
        "  - train ``28000`` valid ``12000`` test ``1000``\n"
        "  - initialization: ``Xavier(normal)``\n"
        "  - criterion: ``BCEWithLogitsLoss``\n"
        "  - optimizer: ``Adam``\n"
        "  - learning rate ``1e-3`` batchsize ``64`` epoch ``10``\n"
    )
    headings = re.findall(r"^##+ .*", text, re.M)
    known = ["### Result", "#### Before Pruning", "#### After Pruning (random init)"]
    known += ["#### After Pruning (lt init)", "### Sparsity curve", "### All rungs and arms"]
    detail = ["### Differences", "### Strict conditions", "### Size and speed on paper"]
    assert headings == [
        *("## Limits", "### Tickets less dense", "## IMDb", *known, "## AG-news", *known),
        *("## With and without weight decay", "## Beside a stronger dense network", "## Why"),
        "## Beside the earlier report",
        *("## Evidence: IMDb", *detail, "## Evidence: AG-news", *detail),
        *("## What others report", "## Method"),
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
    text = page.page([r for r in records if r.settings.model == "cnn"] + slower, ["imdb"], {})
    assert "learning rate ``5e-4`` (CNN), ``1.25e-2`` (LSTM) batchsize ``32`` (CNN)" in text
    assert "epoch ``10`` (CNN), ``7`` (LSTM)" in text
    assert "texts cut at ``123`` (CNN), ``400`` (LSTM) tokens" in text
    assert "  - CNN not at its defaults: word_dropout 0.4\n" in text
    assert "LSTM not at its defaults" not in text
    other = replace(slower[0], data=slower[0].data | {"rows": {"train": 5, "valid": 6, "test": 7}})
    assert "train ``5`` valid ``6`` test ``7``" in page.page([other], ["imdb"], {})


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
    text = page.page(records, ["imdb"], {})
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
    assert list(frame["Seeds to decide"]) == ["decided; decided"] * 2
    assert list(frame) == [
        *("Arm", "Sparsity", "less dense", "less random init", "less random mask"),
        *("random init less dense", "random mask less dense", "Seeds to decide"),
    ]  # no shuffled mask was run
    assert re.fullmatch(
        r"\+2\.00 \(\+1\.[78]\d to \+2\.[12]\d; 5\)( †)?", frame["less random init"].iloc[0]
    )
    assert frame["less random mask"].iloc[0] == "not run"
    assert frame["random mask less dense"].iloc[1].startswith("−2.00 (−2.")


def test_seeds_that_agree_by_luck_are_marked():
    lucky = Fact(YES, Interval(0.01, 0.006, 0.014, 3, of_examples=0.008), 3)
    assert evidence.difference(lucky) == "+1.00 (+0.60 to +1.40; 3) †"
    plain = Fact(YES, Interval(0.01, 0.006, 0.014, 3, of_examples=0.003), 3)
    assert evidence.difference(plain) == "+1.00 (+0.60 to +1.40; 3)"


def test_one_seed_has_its_p():
    one = [
        record(correct=right(0.9, 0, "a")),
        record(arm="lt", ladder=(0.5,), correct=right(0.9, 0, "a")),
    ]
    (row,) = report.differences(one).to_dict("records")
    assert row["less dense"] == "0.00 (−0.05 to +0.05; 1), p 1.000"
    assert row["Seeds to decide"] == "at least 2; –"


def test_each_difference_tells_its_own_seeds():
    records = world({"lt": (0,), "random": (-2,)})
    records = [r for r in records if (r.settings.arm, r.settings.seed) != ("random", 3)]
    (row,) = report.differences(records).to_dict("records")
    assert "; 5)" in row["less dense"] and "; 4)" in row["less random init"]


def test_seeds_to_decide_an_open_question():
    records = world({"lt": (-0.3,)}, seeds=(0, 1, 2), swing=0.001)
    assert re.fullmatch(r"about \d+; –", report.differences(records)["Seeds to decide"].iloc[0])


def test_every_ladder_has_its_rows():
    records = {r.run: r for r in world({"lt": (0, 0)})}
    records |= {r.run: r for r in world({"lt": (0,)}, rewind_step=438)}
    frame = report.differences(records.values())
    assert list(frame["Arm"]) == ["lt init", "lt init", "lt init, rewind_step 438"]


def test_names_that_others_gave_are_shown_as_they_are():
    labels = {"train": [70, 30], "valid": [7, 3], "test": [4, 96]}
    facts = {"classes": ["a|b", "*c*"], "labels": labels, "given_test": True}
    facts |= {"left_out": {}, "tokens": "words"}
    of_own = replace(record(), data=record().data | facts)
    text = page.page([of_own], ["imdb"], {})
    assert re.search(r"^\| `a\\\|b` +\| +70 ", text, re.MULTILINE)
    assert (
        "The largest class, `a|b`, is 70.00 % of the training texts, the smallest, `*c*`," in text
    )


def test_every_learning_rate_that_was_run_is_told():
    records = [*world({"lt": (0,)}), record(learning_rate=5e-4, seed=9)]
    text = page.page(records, ["imdb"], {})
    assert "here there is 5e-4 and 1e-3 only, so that 5 can be failed" in text


def test_conditions_stand_in_rows_and_rungs_in_columns():
    records = world({"lt": (0, 0), "random": (-2, -0.5)}, learning_rate=5e-4)
    records += world({"lt": (-3,), "random": (-3,)}, (0.7,), model="lstm")
    frame = report.conditions(records)
    assert list(frame) == ["Condition", "50 %", "70 %", "75 %"]
    assert list(frame.index) == ["CNN"] * 6 + ["LSTM"] * 6
    own = frame.loc["CNN"].set_index("Condition")
    assert list(own["50 %"]) == [
        *("no", "open (not run)", "yes, at 5e-4", "yes, at 5e-4"),
        *("open", "no prize"),
    ]
    assert own["75 %"].iloc[2] == "open"
    assert own["75 %"].iloc[5] == "open"
    assert set(own["70 %"]) == {"not run"}
    other = frame.loc["LSTM"].set_index("Condition")
    assert list(other["70 %"])[2:] == ["no, at 1e-3"] * 3 + ["no prize"]


def test_savings_of_a_ladder():
    layers = {"embedding.weight": 8000, "convolutions.0.weight": 400, "output.weight": 300}
    options = {"layers": layers, "filters": 2, "widths": (3,)}
    records = [record(**options), record(arm="lt", ladder=(0.5,), **options)]
    records.append(record(arm="lt", ladder=(0.5,), rewind_step=9, **options))
    none = {"test_loss": None, "test_accuracy": None, "test_correct": "", "best_epoch": 0}
    failed = replace(record(arm="lt", ladder=(0.75,), **options), failed="the loss is nan", **none)
    dense, half = report.savings([*records, failed]).to_dict("records")  # rewinding saves no more
    assert (dense["Parameters"], dense["Compression"]) == ("8,703", "1.00")  # 3 biases
    assert (half["Parameters"], half["Compression"]) == ("4,353", "2.00")
    assert (half["Without embedding"], half["Its compression"]) == ("353", "1.99")
    assert (half["Multiply-adds"], half["Speed-up"]) == ("0.04 M", "2.00")


def test_texts_are_no_longer_than_they_are_cut():
    records = world({"lt": (0,)}) + world({"lt": (0,)}, model="lstm", max_tokens=123)
    text = page.page(records, ["imdb"], {})
    assert "for a text of 123 or 200 tokens;" in text
    assert "for a text of 200 tokens;" in page.page(world({"lt": (0,)}), ["imdb"], {})


def test_the_report_answers_from_its_records():
    text = page.page(world({"lt": (0, 0), "random": (-2, -2)}), ["imdb"], {})
    assert "Winning tickets exist in 1 of 2 pairs, the sparsest with 1/4 of the weights" in text
    text = page.page(world({"lt": (-3, -3), "random": (-2, -2)}), ["imdb"], {})
    assert "**No winning ticket is shown (0 of 2 pairs)" in text


def test_a_report_on_generated_texts_says_so_first():
    text = page.page(world({"lt": (0,)}, dataset="demo-reviews"), ["demo-reviews"], {})
    assert text.split("\n\n")[1] == grid.GENERATED
    assert "What others report" not in text


def test_what_others_report_has_a_source_each():
    frame = beside.published()
    assert all(re.search(r"\(arXiv \d{4}\.\d{5}\)", source) for source in frame.index)


# What is not averaged


def test_protocols_are_never_mixed():
    many = [record(seed=seed, accuracy=0.9) for seed in range(3)]
    few = [record(seed=seed, accuracy=0.5, max_tokens=600) for seed in range(2)]
    assert report.before(few + many).loc["CNN", "Test Acc."] == "90.00 %"
    assert len(report.rungs(few + many)) == 1
    (row,) = tables.other_settings(few + many).to_dict("records")
    assert (row["Differs in"], row["Test Acc."], row["Seeds"]) == ("max_tokens 600", "50.00 %", "2")
    text = page.page([*study("imdb"), *few], ["imdb"], {})
    assert text.index("## Evidence") < text.index("## Other settings: IMDb")
    assert "Other settings" not in page.page(many, ["imdb"], {})


def test_a_trial_with_more_seeds_does_not_replace_the_recipe():
    recipe = [record(accuracy=0.9, **RECIPES["imdb", "cnn"])]
    trial = [record(seed=seed, accuracy=0.5) for seed in range(5)]
    assert selection.in_report(trial + recipe) == recipe
    assert selection.in_report(trial) == trial


def test_one_slow_seed_does_not_make_the_time():
    records = [record(seed=seed, seconds=s) for seed, s in enumerate((101, 2567, 99))]
    assert report.rungs(records).loc["CNN", "Seconds"] == "101"


def test_of_protocols_with_as_many_records_the_nearest_to_the_defaults_is_shown():
    far = record(accuracy=0.5, epochs=20, max_tokens=600)
    near = record(accuracy=0.6, epochs=20)
    assert selection.in_report([far, near]) == [near]


def test_corpora_of_other_texts_are_never_mixed():
    here = [record(seed=seed, accuracy=0.9) for seed in range(2)]
    there = [record(seed=2, accuracy=0.5, fingerprint="fedcba9876543210")]
    assert report.before(here + there).loc["CNN", "Test Acc."] == "90.00 %"
    (row,) = tables.other_settings(here + there).to_dict("records")
    assert row["Differs in"] == "data fedcba987654"


def test_late_rewinding_and_global_pruning_stand_apart():
    plain = record(arm="lt", ladder=(0.5,), accuracy=0.9)
    late = record(arm="lt", ladder=(0.25,), accuracy=0.8, rewind_step=438)
    again = record(arm="lt", ladder=(0.5,), accuracy=0.6, rewind_step=438)
    overall = record(arm="lt", ladder=(0.5,), accuracy=0.7, scope="global")
    records = [late, overall, plain]
    assert report.after(records, "lt").loc["CNN", "Test Acc."] == "90.00 %"
    assert report.after([*records, again], "lt").loc["CNN", "Test Acc."] == "90.00 %"
    assert list(report.rungs([plain, again])["Test Acc."]) == ["90.00 %", "60.00 %"]
    frame = report.rungs(records).set_index("Arm")
    assert frame.loc["lt init", "Test Acc."] == "90.00 %"
    assert frame.loc["lt init, rewind_step 438", "Test Acc."] == "80.00 %"
    assert frame.loc["lt init, scope global", "Test Acc."] == "70.00 %"
    assert "CNN here with" not in page.page(records, ["imdb"], {})
    assert "\nCNN here with rewind_step 438.\n" in page.page([late], ["imdb"], {})


def test_the_same_sparsity_by_two_ladders_is_two_rows():
    records = [record(arm="lt", ladder=ladder) for ladder in ((0.5, 0.75), (0.75,))]
    assert set(report.rungs(records)["Arm"]) == {
        "lt init, ladder [0.75]",
        "lt init, ladder [0.5, 0.75]",
    }


def test_of_two_ladders_to_one_sparsity_the_first_tables_have_the_one_of_more_seeds():
    for many, few in (((0.75,), (0.5, 0.75)), ((0.5, 0.75), (0.75,))):
        records = [record(arm="lt", ladder=many, seed=seed) for seed in (0, 1)]
        records.append(record(arm="lt", ladder=few, accuracy=0.5))
        row = report.after(records, "lt").loc["CNN"]
        assert (row["Test Acc."], row["Seeds"]) == ("90.00 %", "2")


def test_a_table_refuses_two_datasets():
    for pair in (
        [record("imdb"), record("agnews")],
        [record("imdb"), record("imdb", seed=1, generated=True)],
    ):
        for make in (report.before, report.rungs, tables.other_settings):
            with pytest.raises(ValueError, match="one dataset"):
                make(pair)


def test_generated_and_real_corpora_never_meet(tmp_path):
    records = [*study("imdb"), *study("demo-reviews"), record(seed=9, generated=True)]
    said: list[str] = []
    real = filled(tmp_path / "results", records)
    text = page.write(real, say=said.append).read_text(encoding="utf-8")
    assert "demo" not in text
    assert "- 6 runs" in text
    assert sum("is not in this report" in line for line in said) == 7
    assert any(str(real.record_path(records[-1].settings)) in line for line in said)
    assert not list((tmp_path / "results").glob("demo-*.csv"))

    path = page.write(filled(tmp_path / "results" / "demo", records), say=said.append)
    assert path == tmp_path / "results" / "demo" / "week9.md"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Week 9 on generated corpora (demo-reviews, demo-news)\n")
    assert "IMDb" not in text
    assert "earlier report" not in text
    assert "- 6 runs" in text


# What is not there


def test_without_a_record_nothing_is_written(tmp_path):
    old = tmp_path / "week9.md"
    old.write_text("a report")
    with pytest.raises(UserError, match="results: holds no record; train first, or name a"):
        written(Store(tmp_path / "results"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [old]
    assert old.read_text() == "a report"


def test_without_records_every_cell_says_so():
    text = page.page([], ["imdb", "agnews"], {})
    for dataset in ("IMDb", "AG-news"):
        for heading in ("Before Pruning", "After Pruning (random init)", "After Pruning (lt init)"):
            for row in rows(text, f"#### {heading}", dataset):
                assert set(list(row.values())[1:]) == {"not run", "0"}


@pytest.mark.parametrize("missing", ["dense", "lt", "random"])
def test_a_missing_record_is_a_row_not_run(missing):
    records = [
        one for one in study() if (one.settings.model, one.settings.arm) != ("lstm", missing)
    ]
    for arm in ("dense", "lt", "random"):
        frame = report.before(records) if arm == "dense" else report.after(records, arm)
        gone = [model for model in frame.index if frame.loc[model, "Test Acc."] == "not run"]
        assert gone == (["LSTM"] if arm == missing else [])


def test_a_model_of_which_nothing_was_run_has_its_row():
    frame = report.before([record()])
    assert list(frame["Test Acc."]) == ["90.00 %", "not run"]
    assert list(frame.index) == ["CNN", "LSTM"]
    assert "- 사용한 모델: ``CNN``, ``LSTM``\n" in page.page([record()], ["imdb"], {})


def test_no_cell_is_empty_or_not_a_number():
    mixed = study(ladder=(0.5, 0.75), seeds=(0, 1), models=("cnn",))
    mixed += [record(model="lstm"), record(seed=5, max_tokens=9), record(seed=6, max_tokens=9)]
    for records in ([], [record()], study(), mixed):
        text = page.page(records, REAL, {})
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
        found = pd.read_csv(tmp_path / "results" / f"{dataset}.csv")
        assert list(found) == COLUMNS
        assert sorted(found.run) == sorted(own)
        assert list(found.test_accuracy) == [own[run].test_accuracy for run in found.run]


@pytest.mark.parametrize("dataset", REAL)
def test_every_mean_of_the_report_is_that_of_the_table(dataset):
    """By a groupby over the columns of settings, with nothing of this project's averaging."""
    runs = pd.read_csv(ROOT / "results" / f"{dataset}.csv", keep_default_na=False)
    by = [name for name in SETTINGS if name != "seed"]
    shown = {}
    for _, own in runs.groupby([*by, "in_report"]):
        one, percent = own.iloc[0], 100 * own.select_dtypes("number").mean()
        key = one.model.upper(), one.label, f"{percent.sparsity:.2f} %", one.in_report
        shown[key] = {
            "Train Loss (BEST)": own.train_loss.mean(),
            "Train Acc. (BEST)": percent.train_accuracy,
            "Without embedding": percent.sparsity_without_embedding,
            "Valid Acc. (BEST)": percent.valid_accuracy,
            "Test Loss": own.test_loss.mean(),
            "Test Acc.": percent.test_accuracy,
            "Test Acc. SD": 100 * own.test_accuracy.std(ddof=1),
            "Seeds": len(own),
            "Best epoch": own.best_epoch.mean(),
            "Seconds": own.seconds.median(),
        }
    text = (ROOT / "week9.md").read_text(encoding="utf-8")
    title = {"imdb": "IMDb", "agnews": "AG-news"}[dataset]
    every = rows(text, "### All rungs and arms", title)
    assert len(every) == sum(key[3] for key in shown)
    every += [row | {"Arm": "dense"} for row in rows(text, "#### Before Pruning", title)]
    for arm in ("random init", "lt init"):
        found = rows(text, f"#### After Pruning ({arm})", title)
        every += [row | {"Arm": arm} for row in found]
    for row in every:
        wanted = shown[row["Model"], row["Arm"], row["Sparsity"], True]
        for name, value in wanted.items():
            if name in row and row[name] != "–":
                digits = row[name].removesuffix(" %")
                half = 0.5 * 10.0 ** -len(digits.partition(".")[2])
                assert abs(float(digits) - value) <= half + 1e-9, (row, name)


def test_the_same_records_give_the_same_bytes(tmp_path):
    records = [*study("imdb", ladder=(0.5, 0.75), seeds=(0, 1)), *study("agnews")]
    contents = []
    for name, order in (("one", records), ("two", records[::-1])):
        written(filled(tmp_path / name / "results", order))
        files = [p for p in sorted((tmp_path / name).rglob("*")) if p.is_file()]
        contents.append({p.relative_to(tmp_path / name): p.read_bytes() for p in files})
    assert contents[0] == contents[1]
    assert {p.name for p in contents[0] if p.suffix != ".json"} == {
        *("week9.md", "imdb.csv", "agnews.csv", "verdicts.csv"),
        *(f"{name}.{form}" for name in PICTURES for form in ("png", "svg")),
    }
    for name, content in contents[0].items():
        if name.suffix == ".png":
            assert content.count(b"tEXt") == 1  # its SVG's digest; no program or date is named


def test_order_of_records_does_not_matter():
    records = study(ladder=(0.5, 0.75), seeds=(0, 1, 2))
    text = page.page(records, ["imdb"], {})
    for seed in range(5):
        shuffled = [records[i] for i in np.random.default_rng(seed).permutation(len(records))]
        assert page.page(shuffled, ["imdb"], {}) == text


@pytest.mark.parametrize("content", ["{", "[]", '{"run": 1}', ""])
def test_an_unreadable_record_is_named_and_kept(tmp_path, content):
    store = filled(tmp_path / "results", study())
    bad = tmp_path / "results" / "runs" / "imdb" / "cnn" / "0badbadbad00.json"
    bad.write_text(content)
    said: list[str] = []
    text = page.write(store, say=said.append).read_text(encoding="utf-8")
    assert sum(str(bad) in line for line in said) == 1
    assert text.endswith("Records that could not be read, and are not in this report: 1.\n")
    assert str(tmp_path) not in text
    assert bad.read_text() == content
    if content == "{":  # once is enough: a report is made again
        assert not any("week9.md" in line for line in verify(store)[1])
    assert report.before(study()).loc["CNN", "Test Acc."] in text


def test_the_report_lies_beside_a_real_store_and_where_it_is_told(tmp_path):
    store = filled(tmp_path / "results", study())
    assert page.write(store, say=str) == tmp_path / "week9.md"
    other = page.write(store, tmp_path / "a" / "b.md", say=str)
    assert "](../results/figures/imdb-sparsity.png)" in other.read_text(encoding="utf-8")


def test_a_store_named_from_the_working_directory(tmp_path, monkeypatch):
    filled(tmp_path / "results", study())
    monkeypatch.chdir(tmp_path)
    page.write(Store(Path("results")), say=str)
    text = (tmp_path / "week9.md").read_text(encoding="utf-8")
    assert "](results/figures/imdb-sparsity.png)" in text


@pytest.mark.parametrize("kind", ["real", "demo"])
def test_links_lead_somewhere(tmp_path, kind):
    root = tmp_path / "results" / ("" if kind == "real" else "demo")
    names = REAL if kind == "real" else ("demo-reviews", "demo-news")
    path = page.write(filled(root, [*study(names[0]), *study(names[1])]), say=str)
    links = re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
    pictures = [link for link in links if link.endswith(".png")]
    assert len(pictures) == 3  # a curve each, and the forest
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
    text = page.page([*records, other], ["imdb"], {})
    assert "- data: data/imdb.parquet, 418 repeated texts; fingerprint ``0123456789ab``\n" in text
    assert (
        "- 3 runs, 1.50 hours in all, on cpu (x86_64) and cuda (H); "
        "numpy 2.2.6 (said by 2), torch 2.13.0 and 2.6.0\n"
    ) in text


def test_beside_the_earlier_report_at_the_nearest_sparsity():
    ladder = (0.5, 0.75, 0.875)
    records = [record("agnews", "lstm", accuracy=0.925, loss=0.2)]
    records += [
        record("agnews", "lstm", "lt", ladder[:rung], accuracy=0.9 + rung / 1000)
        for rung in (1, 2, 3)
    ]
    frame = beside.beside(records)
    assert len(frame) == 12
    this, earlier, last = frame.loc["AG-news LSTM"].to_dict("records")
    assert (this["Test Acc."], this["Test Loss"]) == ("92.50 %", "0.200")
    assert (this["Ticket Test Acc."], this["at sparsity"]) == ("90.10 %", "50.00 %")  # of 48.8 %
    assert (earlier["Test Acc."], earlier["Ticket Test Acc."]) == ("91.17 %", "–")
    assert (last["Ticket Test Acc."], last["at sparsity"]) == ("91.89 %", "48.80 %")
    assert "GloVe" in last["Protocol"]
    assert (frame[frame["Report"] == "this"]["Test Acc."] == "not run").sum() == 3
    assert list(frame[frame["Report"] == "this"]["Seeds"]) == ["0", "0", "0", "1"]
    more = beside.beside([*records, record("agnews", "lstm", seed=1)])
    assert more.loc["AG-news LSTM"]["Seeds"].iloc[0] == "2 and 1", "dense and tickets"
    sparse = [record("imdb", "lstm", "lt", ladder[:rung]) for rung in (1, 2, 3)]
    this = beside.beside(sparse).loc["IMDb LSTM"].iloc[0]
    assert this["at sparsity"] == "87.50 %", "the nearest of 86.6 %, on either side"


# Recipes

PAIR = "imdb", "cnn"
TODAY, FORMER = {"weight_decay": 1e-5}, {"word_dropout": 0.4}


@pytest.fixture
def two_recipes(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, PAIR, TODAY)
    monkeypatch.setitem(recipes.WITHOUT_DECAY, PAIR, FORMER)


def test_both_recipes_stand_side_by_side(two_recipes, monkeypatch):
    for known, weight_decay in ((recipes.RECIPES, 1e-4), (recipes.WITHOUT_DECAY, 0.0)):
        monkeypatch.setitem(known, ("imdb", "lstm"), {"weight_decay": weight_decay})
    former = world({"lt": (-2, -2)}, **FORMER)
    today = world({"lt": (0,)}, dense=0.91, seeds=(0, 1, 2), swing=0.0, **TODAY)
    frame = decay.both([*former, *today], [PAIR, ("imdb", "lstm")])
    half, quarter = frame.to_dict("records")
    assert list(frame.index) == ["IMDb CNN"] * 2
    assert (half["Dense, with"], half["Dense, without"]) == ("91.00 %", "90.00 %")
    assert (half["lt, with"], half["lt, without"]) == ("91.00 %", "88.00 %")
    assert half["Less own dense, with"].startswith("✓ ")
    assert half["Less own dense, without"].startswith("✗ −2.00")
    assert (half["Seeds"], quarter["Seeds"]) == ("3 and 5", "0 and 5")
    assert quarter["lt, with"] == quarter["Less own dense, with"] == "not run"
    for some in (former, today):
        assert not len(decay.both(some, [PAIR]))
    text = page.page([*former, *today], ["imdb"], {})
    assert "IMDb LSTM: not run with both recipes." in text
    assert "Their tickets less their dense networks are 2 more intervals." in text
    monkeypatch.setitem(recipes.RECIPES, ("imdb", "lstm"), {"weight_decay": 0.0})
    text = page.page([*former, *today], ["imdb"], {})
    assert "IMDb LSTM: the recipe is still the one without weight decay." in text


def test_dense_stands_there_for_the_seeds_of_the_tickets(two_recipes):
    former, today = world({"lt": (0,)}, **FORMER), world({"lt": (0,)}, dense=0.91, **TODAY)
    more = world({}, dense=0.8, seeds=(5, 6, 7), **FORMER)
    (row,) = decay.both([*former, *more, *today], [PAIR]).to_dict("records")
    assert row == decay.both([*former, *today], [PAIR]).to_dict("records")[0]
    assert (row["Dense, without"], row["Seeds"]) == ("90.00 %", "5 and 5")


def test_a_ladder_of_other_steps_to_the_same_sparsity_stays_out(two_recipes):
    former, today = world({"lt": (0, 0)}, **FORMER), world({"lt": (0, 0)}, **TODAY)
    other = world({"lt": (-9,)}, ladder=(0.75,), seeds=(0,), **TODAY)[1:]
    frame = decay.both([*former, *today, *other], [PAIR])
    assert list(frame["lt, with"]) == ["90.00 %"] * 2
    assert list(frame["Seeds"]) == ["5 and 5"] * 2


def test_what_else_the_recipes_differ_in_is_said(two_recipes):
    both = [*world({"lt": (0,)}, **FORMER), *world({"lt": (0,)}, **TODAY)]
    said = "Those without decay have: IMDb CNN word_dropout 0.4, weight_decay 0.0."
    assert said in page.page(both, ["imdb"], {})


def test_a_results_folder_may_be_named_by_a_dot(tmp_path, monkeypatch):
    (tmp_path / "results" / "demo").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "results" / "demo")
    assert page.path_of(Store(".")) == tmp_path / "results" / "demo" / "week9.md"
    monkeypatch.chdir(tmp_path / "results")
    assert page.path_of(Store(".")) == tmp_path / "week9.md"


def test_the_former_recipe_is_marked_where_it_stands_in(two_recipes):
    former, dense = world({"lt": (0,)}, **FORMER), world({}, **TODAY)
    text = page.page([*former, *dense], ["imdb"], {})
    assert "| IMDb CNN (without weight decay) |" in text
    assert "  - CNN here without weight decay: today's recipe not run\n" in text
    assert "dense networks are 0 more intervals." in text, "the answer's ladders hold them"
    text = page.page([*former, *world({"lt": (0,)}, **TODAY)], ["imdb"], {})
    assert "(without weight decay)" not in text
    assert "today's recipe not run" not in text


def test_the_strongest_dense_has_a_row_where_it_is_not_the_tickets_own(monkeypatch):
    records = world({"lt": (0, 0)})
    assert not len(decay.strongest(records))
    assert "IMDb CNN, IMDb LSTM: the ticket's own dense" in page.page(records, ["imdb"], {})
    monkeypatch.setitem(recipes.RECIPES, PAIR, {})
    monkeypatch.setitem(recipes.STRONGEST_DENSE, PAIR, {"dropout": 0.2})
    best = world({}, dense=0.92, dropout=0.2)
    (row,) = decay.strongest([*records, *best]).to_dict("records")
    assert (row["Recipe"], row["Dense"], row["Its seeds"]) == ("dropout 0.2", "92.00 %", "5")
    assert row["1/2"].startswith("✗ −2.00") and row["Seeds"] == "5"
    few = [one for one in best if one.settings.seed in (1, 2)]
    (row,) = decay.strongest([*records, *few]).to_dict("records")
    assert (row["Its seeds"], row["Seeds"]) == ("2", "2")
    parted = [one for one in records if one.settings.rung < 2 or one.settings.seed == 0]
    (row,) = decay.strongest([*parted, *few]).to_dict("records")
    assert row["Seeds"] == "2", "at 1/4 there is no common one"
    text = page.page([*records, *best], ["imdb"], {})
    assert "on validation than the ticket's own: IMDb CNN no ✓." in text
    text = page.page([*records, *best[:1]], ["imdb"], {})
    assert "on validation than the ticket's own: IMDb CNN open, with one seed." in text
    best = world({}, dense=0.9, dropout=0.2)
    for some, end in (
        (records, ", seeds: 5</sub> down to 1/4."),
        (parted, ", seeds: 5</sub> down to 1/2."),  # one seed at 1/4 alone
    ):
        text = page.page([*some, *best], ["imdb"], {})
        said = text.partition("on validation than the ticket's own: IMDb CNN ")[2].splitlines()[0]
        assert said.startswith("✓ ") and said.endswith(end)
    (row,) = decay.strongest(records).to_dict("records")
    assert (row["Dense"], row["1/2"]) == ("not run", "not run")


def test_of_generated_texts_no_recipe_is_told():
    records = world({"lt": (0, 0)}, dataset="demo-reviews")
    text = page.page(records, ["demo-reviews"], {})
    assert grid.UNCHOSEN in text and grid.CHOSEN not in text
    for heading in (
        "## With and without weight decay",
        "## Beside a stronger dense network",
        "## Why",
    ):
        assert heading not in text
        assert heading in page.page(world({"lt": (0, 0)}), ["imdb"], {})


def test_why_counts_words_weights_and_random_places(two_recipes):
    layers = {"embedding.weight": 8000, "output.weight": 500}
    words = (Words(4, 60, 300, 0), Words(256, 20, 1000, 0))

    def counted(one, gone):
        return replace(one, words=words, vanished={"embedding.weight": gone})

    points = {"lt": (0, 0, -2), "random_mask": (-2, 0, 0)}
    former = world(points, layers=layers, **FORMER)
    today = [counted(r, 425) for r in world(points, layers=layers, **TODAY)]
    kept, gone, masks, *rest = decay.why([*former, *today], [PAIR])
    assert kept.endswith("IMDb CNN at 1/4 5 % and 50 %.")
    assert gone.endswith("IMDb CNN 5 % with weight decay, not counted without.")
    assert masks.endswith(
        "IMDb CNN as good as dense at 2, worse at 1, and worse than the ticket at 1, better at 1, "
        "of 3."
    )
    assert rest == [decay.COUNTED.format(words="not counted")]
    old = decay.why(world({"lt": (0,)}), [PAIR])
    assert "IMDb CNN not counted." in old[0]
    assert old[2].endswith("were run: IMDb CNN not run.")


def test_words_are_counted_of_plain_tickets_at_the_sparsest_good_rung_of_the_ladder(two_recipes):
    layers = {"embedding.weight": 8000, "output.weight": 500}

    def counted(records, share):
        words = (Words(4, 60, round(6000 * share), 0), Words(256, 20, 1000, 0))
        return [replace(one, words=words) for one in records]

    def tickets(**more):
        return [r for r in world({"lt": (0,)}, layers=layers, **TODAY, **more) if r.settings.rung]

    for points, said in (((0, -9), "1/2 10 %"), ((-9, -9), "1/4 20 %")):
        made = world({"lt": points, "random_mask": points}, layers=layers, **TODAY)
        plain = [r for r in made if r.settings.arm != "random_mask"]
        records = counted([r for r in made if r.settings.arm == "random_mask"], 0.9)
        for rung, share in enumerate((0.3, 0.1, 0.2)):
            records += counted([r for r in plain if r.settings.rung == rung], share)
        records += counted(tickets(rewind_step=9), 0.8)
        records += counted(tickets(ladder=(0.75,), seeds=(0,)), 0.7)
        assert f"IMDb CNN at {said} and 50 %." in decay.why(records, [PAIR])[0]


def test_a_failed_run_is_in_neither_recipe_and_one_seed_is_no_interval(two_recipes):
    former = world({"lt": (-2, -2)}, **FORMER)
    today = world({"lt": (0, 0)}, **TODAY)
    assert len(decay.facts_without([*former, *today], [PAIR])) == 2
    single = [r for r in former if r.settings.rung < 2 or r.settings.seed == 0]
    assert len(decay.facts_without([*single, *today], [PAIR])) == 1
    nothing = {"test_loss": None, "test_accuracy": None, "test_correct": "", "best_epoch": 0}
    bad = [
        replace(one, failed="the loss is nan", history=(), **nothing)
        for one in (record("imdb", "cnn", "lt", (0.5,), 9, **way) for way in (TODAY, FORMER))
    ]
    frame = decay.both([*former, *today], [PAIR])
    assert decay.both([*former, *today, *bad], [PAIR]).equals(frame)


def test_a_page_written_twice_puts_the_same_answer_into_the_readme(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n{grid.BEGIN}\n{grid.END}\n")
    store = filled(tmp_path / "results", study("imdb"))
    text = written(store)
    once = readme.read_text(encoding="utf-8")
    assert once.split(grid.BEGIN)[1].split(grid.END)[0].strip() in text
    written(store)
    assert readme.read_text(encoding="utf-8") == once
    written(filled(tmp_path / "results" / "demo", study("demo-news")))
    assert readme.read_text(encoding="utf-8") == once


def test_another_folder_holds_its_report_and_leaves_the_readme_alone(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"{grid.BEGIN}\n{grid.END}\n")
    store = filled(tmp_path / "elsewhere", study("imdb"))
    assert "IMDb CNN" in written(store)
    assert page.path_of(store) == tmp_path / "elsewhere" / "week9.md"
    assert readme.read_text() == f"{grid.BEGIN}\n{grid.END}\n"
    assert not (tmp_path / "week9.md").exists()
    assert not any("week9" in line or "README" in line for line in verify(store)[1])


def test_a_readme_is_written_byte_for_byte_but_for_the_answer(tmp_path):
    readme = tmp_path / "README.md"
    others = "# Größe\r\nof another project\r\n".encode("latin-1")
    readme.write_bytes(others)
    store = filled(tmp_path / "results", study("imdb"))
    before = readme.stat().st_ino, readme.stat().st_mtime_ns
    written(store)
    assert readme.read_bytes() == others
    assert (readme.stat().st_ino, readme.stat().st_mtime_ns) == before, "it has no marks"
    marks = f"{grid.BEGIN}\r\n{grid.END}\r\n".encode()
    readme.write_bytes(others + marks + others)
    written(store)
    now = readme.read_bytes()
    assert now.startswith(others) and now.endswith(others) and b"IMDb CNN" in now


def test_an_answer_in_the_readme_that_the_records_do_not_give_is_found(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n{grid.BEGIN}\n{grid.END}\n")
    store = filled(tmp_path / "results", study("imdb"))
    written(store)
    assert not any(str(readme) in line for line in verify(store)[1])
    readme.write_text(readme.read_text(encoding="utf-8").replace("IMDb CNN", "IMDb CNM"))
    (said,) = [line for line in verify(store)[1] if "README" in line]
    assert said == f"{readme}: is not what the records give; `lottery report` writes it"
