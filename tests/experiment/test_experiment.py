"""Ladder x arms x seeds: what is trained, what is there already, what is never lost."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.scoring import at
from lottery import files, models
from lottery import study as studies
from lottery.experiment import run as one
from lottery.files import UserError
from lottery.pruning.masks import counts, full_mask, prune, random_mask, shuffled
from lottery.pruning.scores import magnitude
from lottery.pruning.tickets import Ticket
from lottery.runs import compare, provenance
from lottery.runs.checkpoints import unbundle
from lottery.runs.record import LATER, Record, checksum
from lottery.runs.store import COLUMNS, Store, table
from lottery.settings import Settings, title
from lottery.study import Study
from lottery.training import train as training
from lottery.training.adam import Adam
from lottery.training.epoch import Epoch

SMALL = {"embedding_size": 8, "epochs": 2, "batch_size": 64}
OF_MODEL = {"cnn": {"filters": 6}, "lstm": {"hidden": 8}}


@pytest.fixture
def trained(monkeypatch):
    """Titles of the runs trained so far."""
    titles, train = [], training.train

    def watched(model, ticket, corpus, settings, *more):
        titles.append(title(settings))
        return train(model, ticket, corpus, settings, *more)

    monkeypatch.setattr(one, "train", watched)
    return titles


@pytest.fixture
def study(tmp_path, corpus, trained):
    """Studies over one store."""

    def make(model="cnn", ladder=(0.5,), arms=("lt", "random"), seeds=(0,), say=None, **more):
        made = Study(
            "demo-reviews",
            [model],
            ladder,
            arms,
            seeds,
            store=Store(tmp_path / "results"),
            device="cpu",
            say=say or (lambda line: None),
            **(SMALL | OF_MODEL.get(model, {}) | more),
        )
        made.corpus = corpus
        return made

    return make


def titles(records):
    return [title(r.settings) for r in records]


def checkpoint(study, settings):
    return unbundle(files.load(study.store.weights_path(settings))[0])


def test_only_what_is_missing_is_trained(study, trained):
    assert study().records() == []
    records = study().run()
    wanted = ["cnn dense seed 0", "cnn lt 0.5 seed 0", "cnn random 0.5 seed 0"]
    assert trained == titles(records) == wanted
    trained.clear()
    assert study(ladder=(0.5, 0.75)).records() == records, "those that are there"
    again = study().run()
    assert trained == []
    assert again == records

    study(ladder=(0.5, 0.75)).run()
    assert trained == ["cnn lt 0.75 seed 0", "cnn random 0.75 seed 0"], "a rung costs only itself"
    trained.clear()
    study(ladder=(0.5, 0.75), arms=("lt", "finetune")).run()
    assert trained == ["cnn finetune 0.5 seed 0", "cnn finetune 0.75 seed 0"]
    trained.clear()
    study(seeds=(0, 1)).run()
    assert trained == [t.replace("seed 0", "seed 1") for t in wanted]


def test_arms_can_be_trained_at_some_rungs_alone(study, trained):
    records = study(ladder=(0.5, 0.75), arms=("shuffled", "random"), at=(0.75,)).run()
    assert trained == [
        "cnn dense seed 0",
        "cnn lt 0.5 seed 0",
        "cnn shuffled 0.75 seed 0",
        "cnn random 0.75 seed 0",
    ]
    assert [r.settings.rung for r in records] == [0, 2, 2]
    with pytest.raises(UserError, match=r"sparsity 0.9 is not on the ladder"):
        study(ladder=(0.5, 0.75), at=(0.9,))


def test_arms_can_be_run_one_after_the_other(study, trained):
    made = study()
    assert titles(made.run("dense")) == ["cnn dense seed 0"]
    assert titles(made.run("random")) == ["cnn dense seed 0", "cnn random 0.5 seed 0"]
    assert titles(made.run("lt")) == ["cnn dense seed 0", "cnn lt 0.5 seed 0"]
    assert len(trained) == 3


def test_an_upper_rung_of_random_alone_trains_the_tickets_it_stands_on(study, trained):
    records = study(ladder=(0.5, 0.75), arms=("random",)).run()
    assert trained == [
        "cnn dense seed 0",
        "cnn random 0.5 seed 0",
        "cnn lt 0.5 seed 0",
        "cnn random 0.75 seed 0",
    ]
    assert len(records) == 3, "the ticket's record is kept, but nobody asked for it"


@pytest.mark.parametrize("model", ["cnn", "lstm"])
def test_arms_share_masks_first_weights_and_order(study, model, monkeypatch):
    tickets = {}
    train = one.train

    def watched(model, ticket, corpus, settings, *more):
        tickets[settings.arm, settings.rung] = ticket
        return train(model, ticket, corpus, settings, *more)

    monkeypatch.setattr(one, "train", watched)
    arms = ("lt", "random", "random_mask", "shuffled", "finetune")
    made = study(model, ladder=(0.5, 0.75), arms=arms)
    records = made.run()
    first = tickets["dense", 0].weights

    below, mask = made.settings(model, "dense", 0, 0), full_mask(first)
    for rung in (1, 2):
        weights, kept = checkpoint(made, below)
        assert counts(kept) == counts(mask)
        mask = prune(magnitude(at(weights)), mask, (0.5, 0.75)[:rung])
        for arm in ("lt", "random", "finetune"):
            assert all(torch.equal(tickets[arm, rung].mask[n], mask[n]) for n in mask)
        for n, part in mask.items():
            assert torch.equal(tickets["lt", rung].weights[n], first[n] * part), "rewound to θ₀"
            assert torch.equal(tickets["finetune", rung].weights[n], weights[n] * part)
            assert not torch.equal(tickets["random", rung].weights[n], first[n] * part)
        for arm in ("random_mask", "shuffled"):
            assert counts(tickets[arm, rung].mask) == counts(mask)
            for n, part in tickets[arm, rung].mask.items():
                assert not torch.equal(part, mask[n])
                assert torch.equal(tickets[arm, rung].weights[n], first[n] * part)
        below = made.settings(model, "lt", rung, 0)
    assert not torch.equal(
        tickets["random", 1].weights["output.weight"], tickets["random", 2].weights["output.weight"]
    )
    for record in records:
        if record.settings.rung:
            assert record.layers == counts(tickets[record.settings.arm, record.settings.rung].mask)


def test_a_record_says_everything(study):
    made = study(ladder=(0.5, 0.75))
    record = made.run()[-1]
    path = made.store.record_path(record.settings)
    assert path.name == f"{record.run}.json"
    assert path.parent == made.store.root / "runs" / "demo-reviews" / "cnn"
    values = json.loads(path.read_text())
    removed = sum(a for a, _ in record.layers.values())
    total = sum(b for _, b in record.layers.values())
    assert values["sparsity"] == removed / total
    rest = [c for n, c in record.layers.items() if n != "embedding.weight"]
    assert values["sparsity_without_embedding"] == sum(a for a, _ in rest) / sum(b for _, b in rest)
    assert set(values["sparsity_by_layer"]) == set(record.layers)
    assert values["settings"]["ladder"] == [0.5, 0.75]
    assert values["settings"]["seed"] == 0
    assert [e["epoch"] for e in values["history"]] == [1, 2]
    assert set(values["history"][0]) == {
        "epoch",
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_accuracy",
        "seconds",
    }
    assert len(record.correct) == len(made.corpus.test)
    assert record.correct.mean() == record.test_accuracy
    assert values["data"]["fingerprint"] == made.corpus.fingerprint
    assert values["data"]["rows"] == {"train": 200, "valid": 100, "test": 100}
    assert {"python", "cpu", "torch", "numpy", "numba"} <= set(values["versions"])
    assert values["seconds"] > 0
    assert values["device"].startswith("cpu")
    assert values["commit"]
    assert Record.from_json(values) == record
    assert list(table([record]).columns) == [name for name in COLUMNS if name != "macro_f1"]


def test_the_same_seed_gives_the_same_record_twice(study, tmp_path):
    one = study(word_dropout=0.1).run()
    two_store = Store(tmp_path / "other")
    other = study(word_dropout=0.1)
    other.shelf.store = two_store
    two = other.run()

    def timeless(record):
        history = tuple(replace(e, seconds=0) for e in record.history)
        return replace(record, seconds=0, history=history)

    assert [timeless(r) for r in one] == [timeless(r) for r in two]


def test_a_rung_whose_weights_are_gone_is_trained_again_and_its_record_stays(study, trained):
    records = study().run()
    made = study()
    before = {p: p.read_bytes() for p in made.store.root.glob("runs/**/*.json")}
    for path in made.store.root.glob("checkpoints/**/*.safetensors"):
        path.unlink()
    trained.clear()
    more = study(ladder=(0.5, 0.75), arms=("lt",)).run()
    assert trained == ["cnn dense seed 0", "cnn lt 0.5 seed 0", "cnn lt 0.75 seed 0"]
    assert more[:2] == records[:2]
    assert all(path.read_bytes() == content for path, content in before.items())


def _other_loss(values):
    values["test_loss"] += 0.2


def _other_texts(values):
    values["data"]["fingerprint"] = "1" * 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_loss, "trained again, the run has test"),
        (_other_texts, r"is of other data \(111111111111\) than those of now"),
    ],
)
def test_a_rung_trained_again_is_held_against_its_record(study, change, words):
    made = study(arms=("lt",))
    made.run()
    dense = made.settings("cnn", "dense", 0, 0)
    made.store.weights_path(dense).unlink()
    path = made.store.record_path(dense)
    values = json.loads(path.read_text())
    change(values)
    values["sha256"] = checksum(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=rf"{dense.run}.json: {words}"):
        study(arms=("lt", "finetune")).run()
    assert json.loads(path.read_text()) == values


def test_a_seed_names_a_world_of_its_own(study, monkeypatch):
    tickets, train = {}, one.train

    def watched(model, ticket, corpus, settings, *more):
        tickets[settings.arm, settings.rung, settings.seed] = ticket
        return train(model, ticket, corpus, settings, *more)

    monkeypatch.setattr(one, "train", watched)
    controls = ("random_mask", "shuffled")
    study(ladder=(0.5, 0.75), arms=("lt", "random", *controls), seeds=(0, 1)).run()

    def differ(one, other):
        """Where both keep a weight, is it another one?"""
        both = {n: (w != 0) & (other.weights[n] != 0) for n, w in one.weights.items()}
        return any((one.weights[n][b] != other.weights[n][b]).any() for n, b in both.items())

    for arm, rung in (("dense", 0), ("lt", 1), ("random", 1), ("random", 2)):
        assert differ(tickets[arm, rung, 0], tickets[arm, rung, 1])
    for seed in (0, 1):
        assert differ(tickets["random", 1, seed], tickets["random", 2, seed]), "new at each rung"
        assert not differ(tickets["lt", 1, seed], tickets["dense", 0, seed])
        for arm in controls:
            more, fewer = (tickets[arm, rung, seed].mask for rung in (1, 2))
            assert all((fewer[n] <= more[n]).all() for n in more), "nested"
        for arm, draw in (("random_mask", random_mask), ("shuffled", shuffled)):
            stream = Settings("imdb", "cnn", seed=seed).stream(arm)
            wanted = draw(tickets["lt", 1, seed].mask, torch.Generator().manual_seed(stream))
            made = tickets[arm, 1, seed].mask
            assert all(torch.equal(made[n], wanted[n]) for n in wanted), "from its own stream"
    masks = [tickets["random_mask", 1, seed].mask for seed in (0, 1)]
    assert any(not torch.equal(masks[0][n], masks[1][n]) for n in masks[0])
    names = ("first weights", "new draw", "order", "dropout", "transferred", *controls)
    streams = {Settings("imdb", "cnn", seed=seed).stream(name) for name in names for seed in (0, 1)}
    assert len(streams) == 2 * len(names)


@pytest.mark.parametrize(
    ("fact", "there"), [("commit", "d" * 40), ("versions", {"cpu": "another"})]
)
def test_another_seeds_first_weights_do_not_pass_for_the_runs_own(study, monkeypatch, fact, there):
    """On one machine and by one commit it must be the run to the bit; from elsewhere it is said."""
    monkeypatch.setattr(provenance, "commit", lambda: "c" * 40)
    made = study(arms=("lt",))
    made.run()
    dense, draw = made.settings("cnn", "dense", 0, 0), models.draw
    before, outcome = made.store.record_path(dense).read_bytes(), made.shelf.record(dense).outcome
    made.store.weights_path(dense).unlink()
    monkeypatch.setattr(models, "draw", lambda model, seed: draw(model, seed + 1))
    monkeypatch.setattr(compare, "ACCURACY_TOLERANCE", 1.0)
    monkeypatch.setattr(compare, "LOSS_TOLERANCE", 9.0)
    with pytest.raises(UserError, match="trained again, the run has test"):
        study(arms=("lt", "finetune")).run()
    here = getattr(provenance, fact)()
    there = here | there if fact == "versions" else there
    monkeypatch.setattr(provenance, fact, lambda: there)
    said = []
    study(arms=("lt", "finetune"), say=said.append).run()
    assert any(
        line.endswith(f"of another machine, a GPU or other code, says {outcome} and stays")
        for line in said
    )
    assert made.store.record_path(dense).read_bytes() == before


def test_late_rewinding_starts_from_the_dense_networks_early_weights(study, monkeypatch):
    starts = {}
    train = one.train

    def watched(model, ticket, corpus, settings, *more):
        starts[settings.arm, settings.rung] = ticket
        return train(model, ticket, corpus, settings, *more)

    monkeypatch.setattr(one, "train", watched)
    made = study(ladder=(0.5, 0.75), arms=("lt", "random"), rewind_step=3)
    made.run()
    dense = made.settings("cnn", "dense", 0, 0)
    model = models.build(dense, 60, 1)
    early = training.advance(model, starts["dense", 0].weights, made.corpus, dense, 3)
    for rung in (1, 2):
        ticket = starts["lt", rung]
        for n, weight in early.items():
            part = ticket.mask.get(n, torch.ones_like(weight))
            assert torch.equal(ticket.weights[n], weight * part)
    assert made.settings("cnn", "random", 1, 0) == study().settings("cnn", "random", 1, 0)
    assert made.settings("cnn", "random", 2, 0).rewind_step == 3, (
        "its mask comes from the rewound lt"
    )
    one.check_step(replace(dense, rewind_step=8), made.corpus)  # where the training ends
    with pytest.raises(UserError, match="rewind_step 9 is beyond the 8 steps"):
        one.check_step(replace(dense, rewind_step=9), made.corpus)
    with pytest.raises(UserError, match="rewind_step 99 is beyond the 8 steps"):
        study(arms=("lt",), seeds=(5,), rewind_step=99).run()


def test_a_late_rewound_ticket_trains_as_many_epochs_as_the_others(study, monkeypatch):
    """docs/method.md: after its k steps, which it has beyond them."""
    steps, step = [], Adam.step
    monkeypatch.setattr(Adam, "step", lambda adam: (steps.append(adam), step(adam)))
    made = study(arms=("lt",), rewind_step=3)
    made.run()
    each = [sum(adam is one for one in steps) for adam in dict.fromkeys(steps)]
    assert sorted(each) == [3, 8, 8], "three to theta_3, then two epochs of four, as dense"


def test_a_score_may_look_at_the_best_epoch(study, corpus):
    noisy = corpus.valid.labels.copy()
    noisy[::4] = (
        1 - noisy[::4]
    )  # growing sure of them costs ever more, so that the last is not best
    made = study(arms=("lt",), scored_at="best", epochs=8, learning_rate=0.05)
    made.corpus = replace(corpus, valid=replace(corpus.valid, labels=noisy))
    made.run()
    dense, lt = (made.settings("cnn", arm, rung, 0) for arm, rung in (("dense", 0), ("lt", 1)))
    pruned = {}
    for epoch in ("best", "last"):
        weights, _ = made.shelf.trained(dense, epoch)
        pruned[epoch] = prune(magnitude(at(weights)), full_mask(weights), (0.5,))
    _, mask = made.shelf.tested(lt)
    assert all(torch.equal(mask[name], part) for name, part in pruned["best"].items())
    assert any(not torch.equal(mask[name], part) for name, part in pruned["last"].items())


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_what_is_kept_dense_loses_nothing_and_the_others_their_exact_counts(study, scope):
    kept = "embedding.weight"
    made = study(ladder=(0.5, 0.75), arms=("lt", "random"), kept_dense=(kept,), scope=scope)
    for record in made.run()[1:]:
        removed, size = record.layers[kept]
        assert (removed, size) == (0, 59 * 8)
        free = {name: sizes for name, sizes in record.layers.items() if name != kept}
        gone, every = (sum(values) for values in zip(*free.values(), strict=True))
        step = record.settings.ladder[-1]
        if scope == "global":
            assert gone == round(step * every)
        else:
            assert all(r == round(step * s) for n, (r, s) in free.items() if "output" not in n)
        weights, mask = made.shelf.tested(record.settings)
        assert mask[kept].all() and (weights[kept][1:] != 0).any(1).all()


def test_a_record_that_cannot_be_read_is_named_kept_and_passed_over(study, trained):
    made = study()
    made.run()
    path = made.store.record_path(made.settings("cnn", "random", 1, 0))
    path.write_text('{"half": ')
    said = []
    trained.clear()
    records = study(ladder=(0.5, 0.75), say=said.append).run()
    assert [line for line in said if path.name in line and "not valid JSON" in line]
    assert path.read_text() == '{"half": ', "never overwritten"
    assert trained == ["cnn lt 0.75 seed 0", "cnn random 0.75 seed 0"]
    assert len(records) == 4
    good, bad = made.store.records()
    assert len(good) == 4
    assert len(bad) == 1
    assert path.name in bad[0]


def test_a_record_is_never_overwritten(study):
    made = study(arms=())
    record = made.run()[0]
    with pytest.raises(UserError, match="is there already and stays"):
        made.store.put(record)
    assert list(made.store.root.glob("runs/**/.*")) == [], "no temporary file is left"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run": "000000000000"}, "'run' says"),
        ({"test_accuracy": 0.999}, "'test_accuracy' is not the mean"),
        ({"best_epoch": 7}, "'best_epoch'"),
        ({"sparsity": 0.9}, "'sparsity' does not match"),
        ({"test_loss": "low"}, "test_loss is not a finite number"),
        ({"history": [{"epoch": 1}]}, "wrong shape"),
        ({"layers": 3}, "'layers' is no JSON object"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(study, change, words):
    made = study(arms=())
    path = made.store.record_path(made.run()[0].settings)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=words) as caught:
        made.store.read(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_without_a_field_is_refused(study):
    made = study(arms=())
    path = made.store.record_path(made.run()[0].settings)
    values = json.loads(path.read_text())
    for field in Record.__dataclass_fields__:
        path.write_text(json.dumps({k: v for k, v in values.items() if k != field}))
        said = "'sha256' is not" if field in LATER else f"field '{field}' is missing"
        with pytest.raises(UserError, match=said):
            made.store.read(path)
    older = {k: v for k, v in values.items() if k not in LATER}
    path.write_text(json.dumps(older | {"sha256": checksum(older)}))
    assert made.store.read(path).host == ""


def test_no_write_permission_is_one_clear_line(study, monkeypatch, tmp_path):
    made = study(arms=())
    made.shelf.store = Store(tmp_path / "file" / "results")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="cannot be written") as caught:
        made.run()
    assert "\n" not in str(caught.value)


def let_diverge(arm: str, monkeypatch) -> None:
    """Every run of the arm diverges from now on."""
    train = one.train

    def watched(model, ticket, corpus, settings, *more):
        if settings.arm == arm:
            raise training.Diverged("the loss is nan")
        return train(model, ticket, corpus, settings, *more)

    monkeypatch.setattr(one, "train", watched)


def test_a_run_that_diverges_does_not_stop_the_others(study, monkeypatch):
    let_diverge("random", monkeypatch)
    said = []
    records = study(arms=("random", "lt", "finetune"), say=said.append).run()
    assert titles(records) == ["cnn dense seed 0", "cnn lt 0.5 seed 0", "cnn finetune 0.5 seed 0"]
    assert said == ["cnn random 0.5 seed 0: failed, the loss is nan"]
    made = study()
    record = made.store.get(made.settings("cnn", "random", 1, 0))
    assert record.failed == "the loss is nan"
    assert len(table([record])) == 0
    with pytest.raises(UserError, match=r"^cnn random 0\.5 seed 0: the loss is nan$"):
        made.tested(record.settings)
    again = study(say=said.append)
    assert titles(again.run()) == titles(records)[:2], "not tried again, and not among the figures"
    assert said[1] == (
        "cnn random 0.5 seed 0: failed before, the loss is nan; to try again, move "
        f"{made.store.record_path(record.settings)} away"
    )
    assert list(map(title, again.lacking)) == ["cnn random 0.5 seed 0"]
    assert again.run("lt") and not again.lacking, "of the runs asked for"


def test_one_that_fails_below_those_asked_for_is_named_and_they_are_undone(study, monkeypatch):
    let_diverge("lt", monkeypatch)
    said = []
    made = study(ladder=(0.5, 0.75), arms=("random",), at=(0.75,), say=said.append)
    assert titles(made.run()) == ["cnn dense seed 0"]
    assert said == [
        "cnn random 0.75 seed 0: failed, it stands on cnn lt 0.5 seed 0: the loss is nan"
    ]
    assert list(map(title, made.lacking)) == ["cnn random 0.75 seed 0"]


def test_what_stands_on_a_diverged_run_says_so(study, monkeypatch):
    let_diverge("lt", monkeypatch)
    said = []
    records = study(ladder=(0.5, 0.75), say=said.append).run()
    assert titles(records) == ["cnn dense seed 0", "cnn random 0.5 seed 0"]
    on = "it stands on cnn lt 0.5 seed 0: the loss is nan"
    assert said[1:] == [f"cnn {arm} 0.75 seed 0: failed, {on}" for arm in ("lt", "random")]


def test_mistakes_show_before_anything_is_trained(study, trained):
    for change, words in [
        ({"arms": ("winner",)}, "unknown arm 'winner': there are dense, lt, random"),
        ({"model": "gru"}, "unknown model 'gru': there are cnn, lstm"),
        ({"ladder": (0.5, 0.2)}, "must rise"),
        ({"ladder": (1.5,)}, r"outside \(0, 1\)"),
        ({"ladder": ("0.5",)}, "sparsity '0.5' is not a number"),
        ({"ladder": (0.9999,)}, "without any: choose a lower one"),
        ({"seeds": (-3,)}, "seed -3"),
        ({"epochs": 0}, "epochs 0"),
        ({"colour": 1}, "unknown setting 'colour': there are split_seed, "),
        ({"epoch": 1}, "unknown setting 'epoch'; did you mean 'epochs'"),
        ({"sparsity": 0.5}, "unknown setting 'sparsity'; did you mean ladder, a list"),
        ({"results": "x"}, r"unknown setting 'results'; did you mean store='folder'"),
        ({"learning_rate": 10**5000}, "learning_rate of thousands of digits is not a number"),
        ({"seeds": [10**5000]}, "seed of thousands of digits is not a whole number"),
        ({"ladder": [10**5000]}, "sparsity of thousands of digits is outside"),
        ({"jobs": 10**5000}, "jobs of thousands of digits is not a whole number from 1"),
        ({"client": 3}, "client 3 is no distributed.Client and no scheduler's address"),
        ({"client": ThreadPoolExecutor()}, "is no distributed.Client and no scheduler's address"),
        ({"seeds": None}, r"seeds None is not a list: write \[0\]"),
        ({"ladder": "0.5"}, r"ladder '0.5' is not a list: write \[0.5\]"),
        ({"ladder": 0.75}, r"ladder 0.75 is not a list: write \[0.75\]"),
        ({"seeds": 3}, r"seeds 3 is not a list: write \[3\]"),
        ({"arms": "lt"}, r"arms 'lt' is not a list: write \['lt'\]"),
        ({"at": 0.5}, "at 0.5 is not a list"),
        ({"widths": 3}, "widths 3 is not a list"),
        ({"seeds": ()}, "seeds is empty"),
        ({"jobs": 2.5}, "jobs 2.5 is not a whole number from 1"),
        ({"jobs": "2"}, "jobs '2' is not a whole number from 1"),
        ({"jobs": 2, "threads": 0}, "threads 0 is not a whole number from 1"),
        ({"jobs": 2, "client": "tcp://here:1"}, "give one of them"),
        ({"score": "luck"}, "unknown score 'luck': there are magnitude"),
    ]:
        with pytest.raises(UserError, match=words):
            study(**change)
    with pytest.raises(UserError, match=r"device \['cpu'\] is not here"):
        Study("imdb", device=["cpu"])
    with pytest.raises(UserError, match="unknown dataset 'imbd': there are imdb, agnews"):
        Study("imbd")
    for arm in ("winner", ["lt"]):
        with pytest.raises(UserError, match="unknown arm"):
            study().run(arm)
    with pytest.raises(UserError, match="rewind_step 99 is beyond the 8 steps"):
        study(arms=("lt",), rewind_step=99).run()
    assert trained == []


def test_at_needs_no_order(study):
    assert study(ladder=(0.5, 0.75), at=(0.75, 0.5)).asked.at == (0.5, 0.75)


def test_the_bar_counts_runs_that_others_stand_on(study, monkeypatch):
    made = study()
    made.run()
    for path in made.store.root.rglob("*.safetensors"):
        path.unlink()
    bars = []
    monkeypatch.setattr(studies.Bars, "__exit__", lambda bar, *_: bars.append(bar._outer))
    study(arms=("lt", "finetune")).run()  # the dense network is trained once more
    assert [(bar.n, bar.total) for bar in bars] == [(2, 2)]


def test_a_notebook_shows_a_mistake_as_one_line(capsys):
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    shell.run_cell("from lottery import Study\nStudy('imbd')")
    said = capsys.readouterr()
    assert "lottery: unknown dataset 'imbd'" in said.out + said.err
    assert "Traceback" not in said.out + said.err


def test_records_are_enough_without_the_corpus(study, trained):
    study().run()
    made = study()
    made.__dict__.pop("corpus")  # reading it would be an error: nothing named so is on disk
    monkey = pytest.MonkeyPatch()
    monkey.setattr(studies.data, "load", lambda *a, **k: pytest.fail("the corpus was read"))
    assert len(made.run()) == 3
    monkey.undo()


def begun(corpus, **more):
    """Settings of a dense run, its network and θ₀ as a ticket."""
    settings = Settings("demo-reviews", "cnn", **(SMALL | OF_MODEL["cnn"] | more)).checked()
    model = one.build(settings, corpus)
    return settings, model, Ticket(models.draw(model, 0))


def test_every_split_is_cut_for_training_and_on_the_way_to_theta_k(corpus, monkeypatch):
    seen = []

    def stopped(model, ticket, corpus, *more):
        seen.append(corpus)
        raise training.Diverged("seen enough")

    monkeypatch.setattr(one, "train", stopped)
    monkeypatch.setattr(one, "advance", lambda model, first, corpus, *more: seen.append(corpus))
    settings, model, ticket = begun(corpus, max_tokens=5)
    one.train_ticket(model, ticket, settings, corpus, torch.device("cpu"))
    one.rewound(settings, corpus, 1, torch.device("cpu"))
    for found in seen:
        for name, split in corpus.splits.items():
            assert found.splits[name].lengths.tolist() == split.lengths.clip(max=5).tolist()
    assert len(seen) == 2


def test_a_record_counts_what_the_last_epoch_left_of_the_words_of_training(corpus, monkeypatch):
    """Not the best epoch, whose weights are all gone here, nor other texts' words."""
    settings, model, ticket = begun(corpus)
    last, best = (
        {name: torch.full_like(weight, value) for name, weight in ticket.weights.items()}
        for value in (1.0, 0.0)
    )
    history, said = (Epoch(1, 0.7, 0.5, 0.7, 0.5, 1.0),), np.zeros(len(corpus.test), np.int64)
    outcome = training.Outcome(history, 1, 0.7, 0.5, said, last, best, 1.0)
    monkeypatch.setattr(one, "train", lambda *_: outcome)
    record, _ = one.train_ticket(model, ticket, settings, corpus, torch.device("cpu"))
    assert set(record.vanished.values()) == {0}
    often = np.bincount(corpus.train.tokens, minlength=60)[1:]
    for some in record.words:
        high = max(2 * some.least, 1)
        assert some.words == ((often >= some.least) & (often < high)).sum()
        assert (some.kept, some.vanished) == (8 * some.words, 0)
