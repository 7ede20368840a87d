"""What waits for what, and what is sent of it."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers.children import study
from helpers.engines import LADDER
from lottery.cluster.graph import Work, graph, measure, usual_seconds
from lottery.cluster.job import CorpusRef
from lottery.cluster.sent import Sent
from lottery.experiment.plan import below, needs, planned
from lottery.experiment.run import failed
from lottery.experiment.shelf import Gone
from lottery.pruning.masks import full_mask, prunable
from lottery.runs.checkpoints import named, packed, unpacked
from lottery.study import Study, outlook
from lottery.upkeep.status import clock

# The graph


def asked(made: Study, runs=None) -> Work:
    return Work(made.shelf, made.plan() if runs is None else runs, made.corpora)


def test_a_rung_waits_for_the_rung_below_and_nothing_else(tmp_path):
    made = study(tmp_path / "demo", ladder=(0.5, 0.75, 0.9), seeds=(0, 1), arms=LADDER["arms"])
    nodes = graph([asked(made)])
    assert len(nodes) == 2 * (1 + 3 * 5)
    for node in nodes.values():
        s = node.settings
        below = {
            k
            for k, n in nodes.items()
            if n.settings.seed == s.seed
            and n.settings.rung == s.rung - 1
            and n.settings.arm in ("dense", "lt")
        }
        assert node.after == below
        on_it = 3 - s.rung if s.arm in ("dense", "lt") else 0
        assert node.height == 1 + on_it, "the longest chain that stands on it"


def test_only_what_is_missing_is_in_the_graph(tmp_path):
    made = study(tmp_path / "demo", ladder=(0.5,))
    made.run()
    higher = study(tmp_path / "demo", ladder=(0.5, 0.75), arms=("random",))
    (wanted,) = [s for s in higher.plan() if not higher.shelf.is_done(s)]
    assert len(graph([asked(higher, [wanted])])) == 1
    lower = below(wanted)
    made.store.weights_path(lower).unlink()
    nodes = graph([asked(higher, [wanted])])
    assert {n.settings.run for n in nodes.values()} == {wanted.run, lower.run}
    made.store.weights_path(below(lower)).unlink()
    assert len(graph([asked(higher, [wanted])])) == 3


def test_a_slower_model_starts_first(tmp_path):
    cnn = study(tmp_path / "demo", ladder=(0.5, 0.75))
    lstm = study(tmp_path / "demo", models=("lstm",), ladder=(0.5,), arms=("lt",), hidden=4)
    nodes = graph([asked(made) for made in (cnn, lstm)])
    measure(nodes, {("demo-reviews", "cnn"): 2.0, ("demo-reviews", "lstm"): 50.0})
    first = max(nodes.values(), key=lambda node: node.height)
    assert (first.settings.model, first.height) == ("lstm", 100.0)
    measure(nodes, {("demo-reviews", "cnn"): 2.0})
    assert max(n.height for n in nodes.values()) == 3, "where one is not known, runs are counted"


def test_records_say_how_long_a_run_takes(tmp_path):
    made = study(tmp_path / "demo")
    assert usual_seconds([made.store]) == {}
    seconds = [record.seconds for record in made.run()]
    stopped = study(tmp_path / "demo", seeds=(1,)).plan()[0]
    made.store.put(failed(stopped, made.corpus, "by hand"))  # one that failed says nothing of it
    found = usual_seconds([made.store, made.store])
    assert found == {("demo-reviews", "cnn"): sorted(seconds)[1]}
    higher = study(tmp_path / "demo", ladder=(0.5, 0.75), arms=("lt",))
    ((_, node),) = graph([asked(higher, higher.plan()[-1:])]).items()
    assert node.height == found["demo-reviews", "cnn"]


def test_how_long_is_told_by_records_of_the_same_kind_of_device(tmp_path):
    made = study(tmp_path / "demo")
    one, *others = made.run()
    made.store.record_path(one.settings).unlink()
    made.store.put(replace(one, device="cuda (a card)", seconds=9e9))
    pair, usual = one.settings.pair, median(record.seconds for record in others)
    assert usual_seconds([made.store], "cuda") == {pair: 9e9}
    assert usual_seconds([made.store], "cpu") == {pair: usual}
    whole = {pair: max(record.seconds for record in others)}
    assert usual_seconds([made.store], "xpu") == whole, "none of its kind: all that there are"
    made.store.record_path(others[0].settings).unlink()
    assert outlook([made])[1].split()[-1] == clock(others[1].seconds)


# What travels


@given(
    arrays.arrays("float32", st.tuples(st.integers(2, 9), st.integers(1, 9)), unique=False),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
)
def test_what_travels_arrives(values, seed, share):
    weight = torch.from_numpy(values)
    tensors = {"a.weight": weight, "a.bias": weight[0].clone(), "embedding.weight": weight + 1}
    mask = full_mask(tensors)
    draw = torch.Generator().manual_seed(seed)
    for part in prunable(mask).values():
        part.copy_(torch.rand(part.shape, generator=draw) > share)
    for name, part in mask.items():
        tensors[name] = tensors[name].masked_fill(~part, 0.0)
    whole = tensors | named(mask)
    back = unpacked(packed(whole))
    assert back.keys() == whole.keys()
    for name, tensor in whole.items():
        assert tensor.dtype == back[name].dtype and tensor.shape == back[name].shape
        assert tensor.numpy().tobytes() == back[name].numpy().tobytes(), "to the bit, NaN and all"


class OneShelf:
    """Of a single run and its θ₃."""

    def __init__(self, weights, mask):
        self.trained = lambda settings, epoch: (weights, mask)
        self.rewound = lambda dense, step: {"w": torch.full((2,), float(step))}


def test_what_a_run_stands_on_is_sent_whole_and_nothing_else(tmp_path):
    made = study(tmp_path / "demo", ladder=(0.5,), arms=("lt",), rewind_step=3)
    dense, ticket = made.plan()
    mask = {"a.weight": torch.tensor([[True, False], [True, True]])}
    tensors = {"a.weight": torch.tensor([[1.0, 0.0], [2.0, 3.0]]), "a.bias": torch.ones(2)}
    sent = Sent.of(OneShelf(tensors, mask), needs(ticket), "last")
    found, its_mask = sent.trained(dense, "last")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert torch.equal(its_mask["a.weight"], mask["a.weight"])
    assert torch.equal(sent.rewound(dense, 3)["w"], torch.full((2,), 3.0))
    for missing in (lambda: sent.trained(dense, "best"), lambda: sent.rewound(dense, 4)):
        with pytest.raises(Gone):
            missing()
    asked, shelf = [], OneShelf(tensors, mask)
    shelf.trained = lambda settings, epoch: asked.append(epoch) or (tensors, mask)
    Sent.of(shelf, needs(ticket), "best").trained(dense, "best")
    assert asked == ["best"], "of the epoch that the mask is scored at"


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_a_corpus_that_a_model_reads_otherwise_has_another_name(corpus, part):
    """Workers keep what was sent under it."""
    split, names = getattr(corpus, part), [CorpusRef.of(corpus).name]
    turned = split.take(np.arange(len(split))[::-1])
    for other in (replace(split, labels=1 - split.labels), replace(turned, labels=split.labels)):
        names.append(CorpusRef.of(replace(corpus, **{part: other})).name)
    names.append(CorpusRef.of(replace(corpus, vocabulary=corpus.vocabulary[::-1])).name)
    assert names[0] == CorpusRef.of(replace(corpus)).name
    assert len(set(names)) == 4


def test_pruned_weights_do_not_travel():
    mask = {"w.weight": torch.zeros(1000, 100, dtype=torch.bool)}
    mask["w.weight"][0] = True
    small = packed({"w.weight": torch.ones(1000, 100)} | named(mask))
    assert sum(values.nbytes for _, values in small.values()) == 100 * 4 + 100_000 // 8


def test_another_ladders_theta_k_is_needed_too():
    run = planned("imdb", ["cnn"], [0.5], ["transferred_weights"], [0], None,
                  {"source": "agnews", "rewind_step": 7}).runs()[-1]  # fmt: skip
    late = {(s.dataset, s.arm, step) for s, step in needs(run) if step}
    assert late == {("imdb", "dense", 7), ("agnews", "dense", 7)}
