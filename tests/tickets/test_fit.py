"""Parts of a ticket's folder that do not fit each other, each by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.synthetic import record
from lottery.tickets import fit

NEWS = ["World", "Sports", "Business", "Sci/Tech"]
FACTS = {"title": "a ticket", "kept": 3, "weights": 6, "dense": "90 %"}


def test_a_word_is_the_one_of_its_id_whatever_the_order():
    assert fit.vocabulary({"b": 2, "<unk>": 1, "a": 3, "<pad>": 0}) == ("<pad>", "<unk>", "b", "a")
    for ids in ({"a": 0, "b": 2}, {"a": 1, "b": 2}, {"a": 0, "b": 0}):
        with pytest.raises(ValueError, match="have holes"):
            fit.vocabulary(ids)


@pytest.mark.parametrize(
    "classes", [NEWS[::-1], NEWS[:2], [*NEWS, "more"], [], tuple(NEWS), [1, 2, 3, 4], "news"]
)
def test_classes_are_the_datasets_in_its_order(classes):
    """A logit is a class by its place: another order would call it by another name."""
    one = record("agnews")
    fit.check_facts(one, NEWS, FACTS)
    with pytest.raises(ValueError, match="are not the classes of agnews"):
        fit.check_facts(one, classes, FACTS)


def test_classes_of_a_corpus_from_outside_are_its_records():
    one = record("mine", generated=False)
    one = replace(one, data=one.data | {"classes": ["bad", "good"]})
    fit.check_facts(one, ["bad", "good"], FACTS)
    with pytest.raises(ValueError, match="are not the classes of mine"):
        fit.check_facts(one, ["good", "bad"], FACTS)


def test_a_run_that_failed_has_no_network():
    with pytest.raises(ValueError, match="its run failed"):
        fit.check_facts(replace(record("agnews"), failed="the loss is nan"), NEWS, FACTS)


@pytest.mark.parametrize("change", [{"layers": 10**8}, {"rewind_step": 5}, {"arm": "lt"}])
def test_settings_that_no_run_has_are_refused_before_a_model_is_made_of_them(change):
    one = record("agnews", "lstm")
    fit.check_facts(one, NEWS, FACTS)
    strange = replace(one, settings=replace(one.settings, **change))
    with pytest.raises(
        ValueError, match=r"layers 100000000|settings are no run's|needs a sparsity"
    ):
        fit.check_facts(strange, NEWS, FACTS)


@pytest.mark.parametrize("moved", [False, True])
def test_every_mask_keeps_what_the_record_counts_of_its_own_layer(moved):
    """As many in all are not enough."""
    told = {"a.weight": (2, 4), "b.weight": (2, 4), "b.bias": (2,)}
    kept = {"a.weight": [0, 1, 2], "b.weight": [1, 2, 3, 5, 7]}
    if moved:
        kept = {"a.weight": [0, 1], "b.weight": [0, 1, 2, 3, 5, 7]}
    packed = {n: torch.from_numpy(np.packbits(np.isin(range(8), p))) for n, p in kept.items()}
    one = replace(record("agnews"), layers={"b.weight": (3, 8), "a.weight": (5, 8)})
    if moved:
        with pytest.raises(ValueError, match="as many weights as the record counts"):
            fit.masks(packed, one, told)
        return
    found = fit.masks(packed, one, told)
    assert found["b.weight"].tolist() == [[False, True, True, True], [False, True, False, True]]
