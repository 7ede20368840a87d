"""What the documents say of records is what the records say."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from dataclasses import replace
from importlib import util
from itertools import chain, groupby, pairwise, product
from statistics import fmean, quantiles

import pytest

from lottery import cli
from lottery.analysis import protocols, verdict
from lottery.cluster.graph import Work
from lottery.files import root
from lottery.recipes import RECIPES, STRONGEST_DENSE
from lottery.report.grid import SYMBOLS
from lottery.report.words import part
from lottery.runs.store import Store
from lottery.settings import Settings, table
from lottery.study import Study
from lottery.upkeep.forecast import outlooks
from lottery.upkeep.verify import verify


def test_no_figure_of_the_report_is_a_hole():
    page = (root() / "week9.md").read_text()
    assert not re.search(r"\b(nan|none|null|inf|todo)\b", page, re.IGNORECASE)


def test_the_report_is_made_from_the_records_that_lie_beside_it():
    count, wrong, _ = verify(Store(root() / "results"))
    assert count > 100
    assert wrong == []


@pytest.fixture(scope="module")
def records():
    return Store(root() / "results").records()[0]


def of_the_first(records, pair, seeds, question=verdict.TICKET):
    """By rung, how a question stands with the first so many seeds alone."""
    own = [r for r in records if r.settings.pair == pair and r.settings.seed < seeds]
    return {rung.sparsity: rung[question] for rung in verdict.pairs(own)[0].rungs}


STEPS = {
    ("imdb", "cnn"): ((3, 5), (5, 10)),
    ("imdb", "lstm"): ((8, 13), (13, 15)),
    ("agnews", "cnn"): ((3, 5), (5, 10), (10, 13)),
    ("agnews", "lstm"): ((5, 10), (10, 12), (12, 16)),
}


@pytest.mark.parametrize("pair", STEPS, ids="-".join)
def test_what_each_step_of_seeds_changed_is_told(records, pair):
    """docs/method.md, Seeds that are added."""
    first = replace(protocols.protocol(pair), arm="lt", ladder=(0.5,))
    first = {protocols.plain(replace(first, seed=seed)): seed for seed in range(100)}
    seeds = sorted(first[r.settings] for r in records if r.settings in first)
    page = (root() / "docs" / "method.md").read_text(encoding="utf-8")
    assert len(seeds) == STEPS[pair][-1][1]
    for step in STEPS[pair]:
        few, more = (of_the_first(records, pair, seeds[count - 1] + 1) for count in step)
        moved = defaultdict(list)
        for rung, fact in more.items():
            if fact.state != few[rung].state:
                moved[SYMBOLS[fact.state]].append(part(rung))
        told = ", ".join(f"{mark} at {' and '.join(where)}" for mark, where in moved.items())
        row = (verdict.pair_name(*pair), *map(str, step), "[^|]+", told or "none")
        assert re.search(r" \| ".join(row), page), told


def test_a_mark_that_moved_with_more_seeds_is_told(records):
    """docs/method.md, Seeds that are added and How many seeds would tell."""

    def first_values(model, step, seeds):
        return of_the_first(records, ("imdb", model), seeds, verdict.FIRST_VALUES)[step].state

    for step, seeds in ((0.5, 10), (0.875, 8)):
        states = [first_values("cnn", step, count) for count in (5, seeds)]
        assert states == [verdict.SAME, verdict.UP]
    states = [first_values("lstm", 0.75, count) for count in range(5, 14)]
    assert sum(one != other for one, other in pairwise(states)) == 4
    assert states[-1] == verdict.SAME
    for pair, step, few, more, state in (
        (("agnews", "cnn"), 0.969, 4, 11, verdict.YES),
        (("imdb", "cnn"), 0.984, 3, 8, verdict.NO),
    ):
        one, other = (of_the_first(records, pair, count)[step] for count in (few, more))
        assert (one.state, one.needed, other.state) == (verdict.OPEN, None, state)


DEVICES = ("512-bit", "256-bit", "H100", "H200")


def made(records) -> str:
    """The cells of docs/study.md's table: seeds by device, "0 to 4, 10 to 12"."""
    cells = []
    for device in DEVICES:
        found = sorted({r.settings.seed for r in records if device in r.device})
        runs = groupby(enumerate(found), lambda placed: placed[1] - placed[0])
        each = [[seed for _, seed in own] for _, own in runs]
        ends = [f"{o[0]} to {o[-1]}" if len(o) > 2 else ", ".join(map(str, o)) for o in each]
        cells.append(", ".join(ends) or "–")
    return " | ".join(cells)


def test_the_machines_are_those_of_the_records(records):
    page = (root() / "docs" / "study.md").read_text(encoding="utf-8")
    records = [record for record in records if not record.settings.source]
    for pair in RECIPES:
        own = [r for r in records if r.settings.protocol == protocols.protocol(pair)]
        rows = {arm: made([r for r in own if r.settings.arm == arm]) for arm in ("dense", "lt")}
        name = verdict.pair_name(*pair)
        if rows["dense"] == rows["lt"]:
            assert f"| {name} | {rows['lt']} |" in page
        else:
            assert f"| {name}, dense | {rows['dense']} |" in page
            assert f"| {name}, lt init | {rows['lt']} |" in page
        if pair in STRONGEST_DENSE:
            wanted = protocols.protocol(pair, STRONGEST_DENSE)
            strong = [r for r in records if r.settings.protocol == wanted]
            assert f"| {name}, strongest dense | {made(strong)} |" in page


def test_the_commands_of_the_study_are_commands():
    """Each as the shell gives it to the parser."""
    page = (root() / "docs" / "study.md").read_text(encoding="utf-8")
    shell = 'lottery() { echo "$*"; }\n' + "\n".join(re.findall(r"```\n(.*?)```", page, re.S))
    lines = subprocess.run(["bash", "-ec", shell], capture_output=True, text=True, check=True)
    every = lines.stdout.splitlines()
    assert len(every) > 20
    for line in every:
        parsed = cli._parser().parse_args(line.split())
        assert parsed.command, line


def test_the_minutes_of_a_run_are_those_of_the_records(records):
    page = " ".join((root() / "docs" / "study.md").read_text(encoding="utf-8").split())
    said = re.search(
        r"the median run, and nine of ten at most, took a CNN (\S+) and (\S+) minutes, an LSTM on "
        r"a CPU (\S+) and (\S+), on a GPU (\S+) and (\S+),",
        page,
    )
    for number, (model, device) in enumerate((("cnn", "cpu"), ("lstm", "cpu"), ("lstm", "cuda"))):
        own = [r for r in records if r.settings.model == model and r.device.startswith(device)]
        found = quantiles([r.seconds / 60 for r in own], n=10)
        middle, most = (float(said[2 * number + place]) for place in (1, 2))
        assert middle == pytest.approx(found[4], rel=0.15)
        assert most == pytest.approx(found[8], rel=0.15)


def test_the_recipes_figures_are_those_of_their_records():
    folder = root() / "results"
    stores = {"": Store(folder), "trials ": Store(folder / "trials")}
    records = {(k, r.run): r for k, store in stores.items() for r in store.records()[0]}
    runs = [run for _, run in records]
    twice = [run for run in set(runs) if runs.count(run) > 1]
    for run in twice:  # a trial is no part of the study, but for the same run on another machine
        assert records["", run].device != records["trials ", run].device
    for name in ("trials-gpu", "trials-gpu-2", "screen-gpu"):  # nor a GPU's, where none is twice
        for trial in Store(folder / name).records()[0]:
            assert getattr(records.get(("", trial.run)), "history", ()) != trial.history
    rows = re.findall(
        r"([\d.]+)\**\s*\|\s*\**([\d.]+) %\**\s*\|\s*(trials )?`(\w{12})`",
        (root() / "docs" / "recipe.md").read_text(),
    )
    assert len(rows) >= 17
    for loss, accuracy, place, run in rows:
        best = records[place, run].best
        assert (f"{best.valid_loss:.4f}", f"{best.valid_accuracy:.2%}") == (loss, f"{accuracy}%")


def test_the_settings_table_is_the_settings():
    assert table() in (root() / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trials():
    path = root() / "benchmarks" / "recipes.py"
    spec = util.spec_from_file_location("recipes_table", path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_trials_table_is_that_of_the_records(trials):
    text = (root() / "docs" / "recipe.md").read_text(encoding="utf-8")
    for made in trials.tables():
        assert made in text


# Of one or two seeds and found last; docs/recipe.md tells of each: decay, dropout, words, vectors.
FOUND_LATER = {
    ("imdb", 3e-4, 0.3, 0.5, 100),
    ("imdb", 1e-4, 0.3, 0.4, 300),
    ("imdb", 3e-5, 0.5, 0.5, 100),
    ("agnews", 1e-4, 0.1, 0.4, 100),
}


def test_the_strongest_dense_network_is_the_best_on_validation(trials):
    """No other but those is better both on the seeds that the two share and in the mean of all it
    has; of a seed tried more than once the mean counts."""
    tries = defaultdict(list)
    seeds = defaultdict(lambda: defaultdict(dict))  # by pair and recipe: accuracy of each seed
    found = trials.records() | trials.records("screen-gpu")
    for record in chain.from_iterable(found.values()):
        if record.settings.arm == "dense":
            tries[record.settings].append(record.best.valid_accuracy)
    for settings, accuracies in tries.items():
        seeds[settings.pair][replace(settings, seed=0)][settings.seed] = fmean(accuracies)
    for pair in RECIPES:
        named = protocols.protocol(pair, RECIPES | STRONGEST_DENSE)
        ours = seeds[pair][named]
        assert ours, pair
        for recipe, theirs in seeds[pair].items():
            if both := sorted(ours.keys() & theirs.keys()):
                here = fmean(theirs[seed] - ours[seed] for seed in both)
                ever = fmean(theirs.values()) - fmean(ours.values())
                rates = recipe.weight_decay, recipe.dropout, recipe.word_dropout
                later = (recipe.dataset, *rates, recipe.embedding_size) in FOUND_LATER
                assert min(here, ever) <= 0 or (later and len(theirs) < 3), (pair, recipe)


def test_the_recipes_are_the_first_from_theta_0_of_their_pairs_table(trials):
    rows = [line.split(" | ") for line in trials.table(trials.records()).splitlines()[2:]]
    for dataset, model in RECIPES:
        own = (row for row in rows if row[0] == f"| {dataset} {model}")
        first = next(row for row in own if row[1 + trials.SHOWN.index("rewind_step")] == "0")
        recipe = Settings(dataset, model, "lt", (0.5,), **RECIPES[dataset, model])
        said = [str(getattr(recipe, name)) for name in trials.SHOWN[1:]]
        assert first[1:7] == [f"{recipe.weight_decay:g}", *said]


def test_the_readme_counts_what_both_notebooks_train(tmp_path):
    ladder, missing = [0.5, 0.75, 0.875, 0.9375, 0.969, 0.984], set()
    abroad = ["lt", "transferred", "transferred_shuffled", "transferred_random"]
    for dataset, source, seeds in (("imdb", "agnews", [0, 1, 2]), ("agnews", "imdb", [1, 2, 3])):
        at = {"at": ladder[1:4], "source": source, "store": tmp_path}
        for study in (
            Study(dataset, ladder=ladder, seeds=seeds, store=tmp_path),
            Study(dataset, ["cnn"], ladder, abroad, [5, 6, 7], **at),
        ):
            work = Work(study.shelf, study.plan(), study.corpora)
            for found in outlooks([work]).values():
                missing.update(found.missing)
        book = (root() / "notebooks" / f"{dataset}.ipynb").read_text()
        for said in (str(ladder), f"seeds = {seeds}", '\\"seeds\\": [5, 6, 7]', str(abroad)):
            assert said.replace("'", '\\"') in book, said
    assert f"from nothing, is {len(missing)} trainings of ten" in (root() / "README.md").read_text()


MEASURED = {512: "xeon-512.json", 256: "epyc-zen3-256.json"}  # by the vectors' bits
TEXTS = {"imdb": "IMDb", "agnews": "AG-news"}
WAYS = {"cnn": ("tutorial",), "lstm": ("packed", "padded")}


@pytest.fixture(params=MEASURED)
def bench(request):
    return json.loads((root() / "benchmarks" / "measured" / MEASURED[request.param]).read_text())


def test_times_beside_the_tutorials_are_those_that_were_measured(bench):
    page = (root() / "docs" / "speed.md").read_text(encoding="utf-8")

    def beside(key: str, way: str) -> str:
        low, high = (bench[f"{key}.ratio_{way}_q{q}"] for q in (25, 75))
        times = f"{bench[f'{key}.ms_{way}']:,.1f} | {bench[f'{key}.ms_ours']:.1f}"
        return f"{times} | {bench[f'{key}.ratio_{way}']:.1f} ({low:.1f} to {high:.1f})"

    for model, text in product(WAYS, TEXTS):
        for way in WAYS[model]:
            plain, decay = (beside(f"{model}.{text}{end}", way) for end in ("", ".decay"))
            assert f"| {model.upper()}, {TEXTS[text]} | {way} | {plain} | {decay} |" in page


def test_tickets_times_are_those_that_were_measured(bench):
    page = (root() / "docs" / "speed.md").read_text(encoding="utf-8")
    steps = ("0.5", "0.75", "0.875", "0.9375", "0.984")
    for model, text in product(WAYS, TEXTS):
        name = f"{model.upper()}, {TEXTS[text]}"
        for work in ("step", "inference"):
            times, ratios = (f"sparse.{model}.{text}.{work}_{kind}" for kind in ("ms", "ratio"))
            cells = [f"{bench[f'{times}.{s}']:.1f} ({bench[f'{ratios}.{s}']:.2f})" for s in steps]
            row = " | ".join([f"| {name}, {work}", f"{bench[f'{times}.0']:.1f}", *cells])
            assert f"{row} |" in page
        sizes = (1, 2, 4, 15, 16, 17, 64, 256)
        cells = [f"{bench[f'{ratios}.0.875.batch_{size}']:.2f}" for size in sizes]
        assert f"{name} | {' | '.join(cells)} |" in page


def test_the_parts_of_a_step_are_those_that_were_measured():
    page = (root() / "docs" / "speed.md").read_text(encoding="utf-8")
    bench = json.loads((root() / "benchmarks" / "measured" / MEASURED[512]).read_text())
    keys = [f"{model}.{text}" for text in TEXTS for model in WAYS]
    for name, field, form in (
        ("forward, ms", "ms_forward", ".1f"),
        ("loss and backward, ms", "ms_backward", ".1f"),
        ("Adam, ms", "ms_adam", ".1f"),
        ("batching and counting, ms", "ms_rest", ".1f"),
        ("GFLOP of matrix products", "gflop", ".2f"),
        ("texts a second, evaluation", "eval_texts_per_second", ",.0f"),
        *(
            (f"ns a token, batch {n}", f"ns_per_token.batch_{n}", ",.0f")
            for n in (16, 64, 256, 512)
        ),
    ):
        cells = " | ".join(format(bench[f"{key}.{field}"], form) for key in keys)
        assert f"| {name} | {cells} |" in page


def test_the_readmes_times_are_those_that_were_measured():
    page = (root() / "README.md").read_text(encoding="utf-8")
    folder = root() / "benchmarks" / "measured"
    both = [json.loads((folder / MEASURED[bits]).read_text()) for bits in (256, 512)]
    for model, way in chain.from_iterable(product([model], ways) for model, ways in WAYS.items()):
        found = [one[f"{model}.{text}.ratio_{way}"] for text in TEXTS for one in both]
        shown = [f"{ratio:.0f}" if ratio >= 20 else f"{ratio:.1f}" for ratio in found]
        assert f"| {' | '.join(shown)} |" in page, (model, way)
