"""Tickets from dataset to dataset: what is trained before, and what comes of it."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pandas as pd
import pytest
import torch

from helpers.children import travel
from lottery import cli, data
from lottery.cluster.sent import Sent
from lottery.experiment import ladder
from lottery.experiment import run as one_run
from lottery.experiment.bars import Bars
from lottery.experiment.foreign import foreign_ticket
from lottery.experiment.plan import below, foreign, needs, planned
from lottery.experiment.run import failed
from lottery.experiment.shard import Shard
from lottery.experiment.shelf import Busy
from lottery.files import UserError
from lottery.pruning.arms import ARMS
from lottery.pruning.masks import EMBEDDING, digest, full_mask
from lottery.runs.checkpoints import named, packed
from lottery.runs.record import Record
from lottery.runs.store import Store
from lottery.study import Study
from lottery.tickets.export import export, find
from lottery.upkeep.verify import verify

TRAVELLING = tuple(name for name, arm in ARMS.items() if arm.travels)


@pytest.fixture(scope="module")
def there(tmp_path_factory) -> Study:
    made = travel(tmp_path_factory.mktemp("travel") / "demo", ("lt", *TRAVELLING))
    made.run()
    return made


def by_arm(made: Study, rung: int) -> dict[str, Record]:
    records, _ = made.store.records("demo-reviews")
    return {r.settings.arm: r for r in records if r.settings.rung == rung}


def test_the_others_ladder_is_trained_first_and_is_its_own(there, tmp_path):
    names = [(s.dataset, s.arm, s.rung) for s in there.plan()]
    for settings in there.plan():
        for run, step in needs(settings):
            assert step == 0
            key = run.dataset, run.arm, run.rung
            assert names.index(key) < names.index((settings.dataset, settings.arm, settings.rung))
    records, _ = there.store.records("demo-news")
    assert [(r.settings.arm, r.settings.rung) for r in records] == [
        ("dense", 0), ("lt", 1), ("lt", 2)
    ]  # fmt: skip
    assert {r.data["fingerprint"] for r in records} == {"1" * 64}
    assert {r.run for r in there.run()} == {r.run for r in there.store.records("demo-reviews")[0]}


def test_a_run_that_waits_leaves_no_tensors_behind(there, monkeypatch):
    """It comes this way again and again; a cycle that holds them grew to gigabytes in minutes."""
    seen = []

    def tracked(weights):
        seen.extend(map(weakref.ref, weights.values()))
        return full_mask(weights)

    def busy(*arguments):
        raise Busy

    monkeypatch.setattr(ladder, "full_mask", tracked)
    monkeypatch.setattr(ladder, "foreign_ticket", busy)
    monkeypatch.setattr(there.shelf, "is_done", lambda settings: False)
    run = there.settings("cnn", "transferred", 2, 0)
    gc.disable()
    try:
        with Bars(1, "waits") as bars:
            undone = there.climb([run], bars)
        assert list(map(type, undone.values())) == [Busy]
        assert seen and not any(tensor() is not None for tensor in seen)
    finally:
        gc.enable()


def test_records_say_what_came_from_where(there):
    _, mask = there.shelf.trained(foreign(there.settings("cnn", "transferred", 2, 0)), "last")
    runs = by_arm(there, 2)
    own = there.shelf.trained(runs["lt"].settings, "last")[1]
    for arm in TRAVELLING:
        settings, transfer = runs[arm].settings, runs[arm].transfer
        assert settings.source == "demo-news" and transfer.run == foreign(settings).run
        assert (transfer.words, transfer.shared) == (59, 49)
        assert Record.from_json(runs[arm].to_json()) == runs[arm]
    placed = there.tested(runs["transferred"].settings)[1]
    assert torch.equal(placed[EMBEDDING][:50], mask[EMBEDDING]), "these words have the same rows"
    assert placed[EMBEDDING][50:].sum() == own[EMBEDDING][50:].sum()
    assert torch.equal(placed["output.weight"], own["output.weight"])
    assert runs["lt"].transfer is None


def test_records_say_which_mask_they_had(there):
    for rung in (1, 2):
        runs = by_arm(there, rung)
        (source,) = [
            r
            for r in there.store.records("demo-news")[0]
            if (r.settings.arm, r.settings.rung) == ("lt", rung)
        ]
        for arm in TRAVELLING:
            one = runs[arm]
            assert one.mask == digest(there.tested(one.settings)[1])
            assert (one.transfer.mask, one.transfer.own_mask) == (source.mask, runs["lt"].mask)
        assert runs["transferred"].mask == runs["transferred_weights"].mask
        assert runs["lt"].mask == digest(there.shelf.trained(runs["lt"].settings, "last")[1])
        assert len({one.mask for one in runs.values()}) == len(runs) - 1


def test_a_worker_asks_for_the_epoch_that_it_was_sent(there):
    """A mask is scored at one epoch, and the weights of no other travel."""
    usual = there.settings("cnn", "transferred", 1, 0)
    settings = replace(usual, scored_at="best")
    mask = there.shelf.trained(foreign(usual), "last")[1]
    sent = Sent()
    sent.packed[foreign(settings).run, settings.scored_at] = packed(named(mask))
    found = foreign_ticket(settings, sent, there.corpora)
    assert found.run == foreign(settings).run != foreign(usual).run
    assert all(torch.equal(found.mask[name], part) for name, part in mask.items())


@pytest.mark.parametrize("arm", TRAVELLING)
def test_masks_of_a_ladder_are_nested_after_the_journey(there, arm):
    more, fewer = (there.tested(by_arm(there, rung)[arm].settings)[1] for rung in (1, 2))
    assert all((fewer[name] <= part).all() for name, part in more.items())
    assert any((fewer[name] != part).any() for name, part in more.items())


def test_results_with_foreign_masks_are_in_order_and_are_not_exported(there, tmp_path):
    assert all("not written yet" in problem for problem in verify(there.store)[1])
    record = by_arm(there, 2)["transferred"]
    with pytest.raises(UserError, match="arm transferred: the mask is another dataset's"):
        export(there.store, record, tmp_path / "ticket")
    with pytest.raises(UserError, match="arm transferred_inner: the mask is another dataset's"):
        find(there.store.records()[0], "cnn", "transferred_inner", 0.75, 0)
    assert not (tmp_path / "ticket").exists()


def test_a_record_whose_transfer_is_wrong_is_refused(there):
    values = by_arm(there, 1)["transferred"].to_json()
    own, words = values["transfer"]["own"], values["transfer"]["words"]
    changes = {"at_random": [0, 0]}, {"own_inner": own + 1}, {"shared": words + 1}
    for wrong in (None, *(values["transfer"] | change for change in changes)):
        with pytest.raises(UserError, match="'transfer'"):
            Record.from_json(values | {"transfer": wrong})


def test_what_a_record_says_of_other_runs_is_held_against_them(there, tmp_path):
    copy = Store(tmp_path / "demo")
    for one in there.store.records()[0]:
        copy.put(one)
    one = by_arm(there, 2)["transferred"]
    path = copy.record_path(one.settings)
    own, counts = one.transfer.own, "counts other weights"
    for field, value, said in (
        ("fingerprint", "2" * 64, "has another 'fingerprint'"),
        ("own", own - 1, counts),
        ("own", own + 1, counts),
    ):
        path.unlink()
        copy.put(replace(one, transfer=replace(one.transfer, **{field: value})))
        (problem,) = [line for line in verify(copy)[1] if "'transfer'" in line]
        assert str(path) in problem and said in problem
    assert not [note for note in verify(copy)[2] if "is another" in note]
    own = replace(one.settings, arm="lt", source="").checked().run
    for field, other in (("mask", one.transfer.run), ("own_mask", own)):
        path.unlink()
        copy.put(replace(one, transfer=replace(one.transfer, **{field: "3" * 64})))
        (note,) = [note for note in verify(copy)[2] if "is another" in note]
        assert note.startswith(f"run {one.run}: the mask of run {other}, ")


@pytest.mark.parametrize("options", [{}, {"rewind_step": 2, "scope": "global"}])
def test_a_ticket_sent_to_its_own_dataset_is_the_ticket_itself_to_the_bit(tmp_path, options):
    arms = ("lt", "transferred", "transferred_weights")
    made = travel(tmp_path / "demo", arms, "demo-reviews", **options)
    made.run()
    for rung in (1, 2):
        runs = by_arm(made, rung)
        lt = runs["lt"]
        for arm in arms[1:]:
            one = runs[arm]
            assert (one.test_correct, one.layers) == (lt.test_correct, lt.layers)
            bare = [[replace(e, seconds=0) for e in r.history] for r in (one, lt)]
            assert bare[0] == bare[1]
            for mine, theirs in zip(*map(made.tested, (one.settings, lt.settings)), strict=True):
                assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
            assert one.transfer.run == lt.run


def test_weights_that_are_gone_are_trained_again(there):
    settings = there.settings("cnn", "transferred", 2, 0)
    gone = [there.store.weights_path(foreign(settings)), there.store.tested_path(settings)]
    mask = there.tested(settings)[1]
    for path in gone:
        path.unlink()
    again = there.tested(settings)[1]
    assert all(torch.equal(mask[name], again[name]) for name in mask)
    assert all(path.exists() for path in gone)


def test_the_source_has_its_own_recipe_and_what_the_user_changed():
    (*_, plain) = planned("imdb", ["lstm"], [0.5], ["transferred"], [3], None, {"source": "agnews"}
                          ).runs()  # fmt: skip
    other = foreign(plain)
    assert (other.dataset, other.arm, other.seed, other.ladder) == ("agnews", "lt", 3, (0.5,))
    assert (plain.dropout, other.dropout) == (0.1, 0.3), "each its recipe's"
    assert (plain.max_tokens, other.max_tokens) == (5_000, 400)
    changed = foreign(replace(plain, dropout=0.2, epochs=2, rewind_step=7).checked())
    assert (changed.dropout, changed.epochs, changed.rewind_step) == (0.2, 2, 7)
    assert changed.max_tokens == 400 and changed.source == ""
    usual = planned("agnews", ["lstm"], [0.5], ["lt"], [3], None, {}).runs()[-1]
    assert other == usual, "the very run of the other's own study"
    assert foreign(usual) is None and foreign(below(plain)) is None


@pytest.mark.parametrize(
    ("source", "arms", "words"),
    [
        ("agnws", ["transferred"], "unknown source 'agnws': there are imdb, agnews"),
        ("agnews", ["lt"], "source 'agnews': no arm takes its mask; ask for transferred"),
        ("demo-news", ["transferred"], "source 'demo-news': one of it and 'imdb' is generated"),
        (None, ["transferred"], "arm 'transferred' needs the dataset .* --source agnews"),
        ("", ["transferred_random"], "arm 'transferred_random' needs the dataset"),
        (3, ["transferred"], "unknown source 3"),
    ],
)
def test_what_cannot_travel_is_one_clear_line(source, arms, words):
    with pytest.raises(UserError, match=words) as caught:
        planned("imdb", ["cnn"], [0.5], arms, [0], None, {"source": source})
    assert "\n" not in str(caught.value)


def test_own_texts_take_no_mask():
    columns = {"text": "text", "label": "label", "name": "my"}
    rows = [(f"word{n % 7} text {n}", n % 2) for n in range(40)]
    own = data.from_frame(pd.DataFrame(rows, columns=["text", "label"]), **columns)
    with pytest.raises(UserError, match="my is a corpus of your own"):
        Study(own, ["cnn"], source="imdb", arms=["transferred"])


def test_the_source_is_known_to_the_command(capsys):
    assert cli.main(["run", "imdb", "cnn", "--arm", "transferred", "--source", "nowhere"]) == 2
    assert "unknown source 'nowhere'" in capsys.readouterr().err


def test_shares_keep_tickets_that_travel_together():
    ways = (("imdb", "agnews"), ("agnews", "imdb"))
    plans = [
        (here, planned(here, ["cnn"], [0.5], ["lt", "transferred"], range(3), None,
                       {"source": there}).runs())
        for here, there in ways
    ]  # fmt: skip
    for number in (1, 2):
        share = {s.run: s for _, runs in Shard(number, 2).of(plans) for s in runs}
        for settings in share.values():
            assert all(run.run in share for run, _ in needs(settings))


def test_old_runs_keep_their_names():
    plain = planned("imdb", ["cnn"], [0.5], ["lt", "random"], [0], None, {}).runs()
    also = planned("imdb", ["cnn"], [0.5], ["lt", "random", "transferred"], [0], None,
                   {"source": "agnews"}).runs()  # fmt: skip
    assert {s.run for s in plain} < {s.run for s in also}
    assert all("source" not in s.spoken() for s in also if s.arm != "transferred")


def test_a_stopped_source_stops_what_stands_on_it(tmp_path):
    made = travel(tmp_path / "demo", ("transferred",), epochs=1)
    other = foreign(made.settings("cnn", "transferred", 1, 0))
    made.store.put(failed(other, made.corpora(other), "it died"))
    lines: list[str] = []
    made.say = lines.append
    assert {r.settings.arm for r in made.run()} == {"dense"}
    first = next(line for line in lines if "transferred" in line)
    assert "stands on" in first and "lt 0.5 seed 0: it died" in first


def test_tensors_kept_dense_are_counted_as_the_record_counts_them(tmp_path):
    made = travel(tmp_path, ("lt", "transferred"), kept_dense=("output.weight",))
    made.run()
    records, unread = made.store.records()
    assert unread == []
    for record in (r for r in records if r.transfer):
        assert record.layers["output.weight"][0] == 0
        assert record.transfer.kept == sum(record.kept.values())


def test_what_does_not_travel_begins_where_its_own_ticket_does(tmp_path, monkeypatch):
    starts, train = {}, one_run.train

    def watched(model, ticket, corpus, settings, *more):
        starts[settings.dataset, settings.arm, settings.rung] = ticket.weights
        return train(model, ticket, corpus, settings, *more)

    monkeypatch.setattr(one_run, "train", watched)
    travel(tmp_path, ("lt", "transferred_weights"), rewind_step=2).run()
    name = "output.bias"  # of one logit here, of four there
    found = starts["demo-reviews", "transferred_weights", 1][name]
    assert torch.equal(found, starts["demo-reviews", "lt", 1][name]) and found.any(), "θₖ, not θ₀"
