"""A mask on another network: rows go to the right word, counts are exact, ladders stay nested."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lottery.files import UserError
from lottery.pruning import masks
from lottery.pruning.arms import ARMS, Origins
from lottery.pruning.masks import EMBEDDING, OUTPUT, Mask
from lottery.pruning.tickets import Ticket
from lottery.pruning.transfer import NOWHERE, Foreign, Transfer, placed, rows_of, values

CONVOLUTION, BIAS, WIDE = "convolutions.0.weight", "output.bias", 5
TRAVELLING = [name for name, arm in ARMS.items() if arm.travels]
words = st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=12, unique=True)
vocabularies = words.map(lambda found: ("<pad>", "<unk>", *found))


def network(vocabulary: tuple, outputs: int, seed: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    made = {
        EMBEDDING: torch.randn(len(vocabulary), WIDE, generator=draw),
        CONVOLUTION: torch.randn(6, WIDE, 3, generator=draw),
        OUTPUT: torch.randn(outputs, 6, generator=draw) * 9,  # never pruned empty
        BIAS: torch.randn(outputs, generator=draw),
    }
    made[EMBEDDING][0] = 0
    return made


def ladder(weights: dict, scope: str, steps=(0.3, 0.5, 0.7)) -> list[Mask]:
    made = [masks.full_mask(weights)]
    for rung in range(1, len(steps) + 1):
        scores = {name: weights[name].abs() for name in made[0]}
        made.append(masks.prune(scores, made[-1], steps[:rung], scope))
    return made[1:]


def abroad(there: tuple, here: tuple, mask: Mask, first: dict, seed: int = 0) -> Foreign:
    return Foreign("abc", mask, first, rows_of(here, there), "f", seed)


def is_left_empty(other: tuple, own: tuple, theirs: Mask, mine: Mask) -> bool:
    """No shared word keeps anything there, and no other word here."""
    rows = [
        theirs[EMBEDDING][other.index(word)] if word in other else mine[EMBEDDING][row]
        for row, word in enumerate(own)
        if word != "<pad>"
    ]
    return not torch.stack(rows).any()


@given(vocabularies, vocabularies)
def test_a_word_is_found_where_it_stands(own, other):
    rows = rows_of(own, other).tolist()
    for word, row in zip(own, rows, strict=True):
        assert row == (other.index(word) if word in other else NOWHERE)


@given(vocabularies, vocabularies, st.integers(0, 99), st.sampled_from(["layer", "global"]))
def test_rows_go_by_word_counts_are_exact_and_ladders_nested(own, other, seed, scope):
    here, there = network(own, 4, seed), network(other, 1, seed + 1)
    below = None
    for mine, theirs in zip(ladder(here, scope), ladder(there, scope), strict=True):
        if is_left_empty(other, own, theirs, mine):
            with pytest.raises(UserError, match=r"leaves embedding\.weight without any weights"):
                placed(abroad(other, own, theirs, there, seed), mine)
            return
        found = placed(abroad(other, own, theirs, there, seed), mine)
        mask, transfer = found.mask, found.transfer
        kept = [0, 0]  # of shared words; of the others
        for row, word in enumerate(own):
            got = mask[EMBEDDING][row]
            if word == "<pad>":
                assert got.all()
            elif word in other:
                assert torch.equal(got, theirs[EMBEDDING][other.index(word)]), word
                kept[0] += int(got.sum())
            else:
                kept[1] += int(got.sum())
        lacking = [row for row, word in enumerate(own) if word not in other]
        assert kept[1] == mine[EMBEDDING][lacking].sum(), "as many as the own ticket keeps there"
        assert torch.equal(mask[CONVOLUTION], theirs[CONVOLUTION])
        assert torch.equal(mask[OUTPUT], mine[OUTPUT]), "1 logit there, 4 here"
        shared = len(set(own) & set(other)) - 1
        inner, output = mask[CONVOLUTION], mask[OUTPUT]
        own_inner = int(mine[CONVOLUTION].sum() + mine[OUTPUT].sum())
        assert transfer == Transfer(
            "abc",
            "f",
            len(own) - 1,
            shared,
            own=own_inner + int(mine[EMBEDDING][1:].sum()),
            own_inner=own_inner,
            inner=int(inner.sum() + output.sum()),
            by_word=(kept[0], shared * WIDE),
            as_found=(int(inner.sum()), inner.numel()),
            at_random=(kept[1], len(lacking) * WIDE),
            from_own=(int(output.sum()), output.numel()),
            mask=masks.digest(theirs),
            own_mask=masks.digest(mine),
        )
        assert transfer.kept == sum(of - gone for gone, of in masks.counts(mask).values())
        came = [word in other or word == "<pad>" for word in own]
        assert found.came.keys() == {EMBEDDING, CONVOLUTION} and found.came[CONVOLUTION].all()
        assert found.came[EMBEDDING].tolist() == came
        assert below is None or all(not (mask[n] & ~below[n]).any() for n in mask)
        below = mask


@given(vocabularies, vocabularies, st.integers(0, 99))
def test_first_values_go_by_word_and_no_two_words_begin_alike(own, other, seed):
    here, there = network(own, 4, seed), network(other, 1, seed)  # one seed: many rows are equal
    made = values(abroad(other, own, {}, there), here)
    left = [row for row, word in enumerate(other) if word not in own]
    for row, word in enumerate(own):
        if word in other and word != "<pad>":
            source = there[EMBEDDING][other.index(word)]
        elif word != "<pad>" and left:
            source = there[EMBEDDING][left.pop(0)]
        else:
            source = here[EMBEDDING][row]
        assert torch.equal(made[EMBEDDING][row], source), word
    if len(own) <= len(other):
        assert len(made[EMBEDDING].unique(dim=0)) == len(own)
    assert torch.equal(made[CONVOLUTION], there[CONVOLUTION])
    assert torch.equal(made[OUTPUT], here[OUTPUT]) and torch.equal(made[BIAS], here[BIAS])


OWN = ("<pad>", "<unk>", *"abcdefgh")
OTHER = ("<pad>", "<unk>", *"hgfexyz")


def tickets(source: tuple = OTHER, scope: str = "global", seed: int = 3) -> list[dict[str, Ticket]]:
    """At each rung of a ladder what every travelling arm makes, and `lt`."""
    here = network(OWN, 4, seed)
    there = here if source == OWN else network(source, 1, seed + 1)
    made = []
    for mine, theirs in zip(ladder(here, scope), ladder(there, scope), strict=True):
        foreign = abroad(source, OWN, theirs, there)
        origins = {
            name: Origins(here, mine, here, seed=number, foreign=foreign)
            for number, name in enumerate(("lt", *TRAVELLING))
        }
        made.append({name: ARMS[name](given) for name, given in origins.items()})
    return made


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_mask_sent_to_its_own_dataset_is_the_ticket_itself(scope):
    for rung in tickets(OWN, scope):
        for arm in ("transferred", "transferred_weights", "transferred_inner"):
            one, other = rung[arm], rung["lt"]
            assert one.mask.keys() == other.mask.keys()
            assert all(torch.equal(one.mask[n], other.mask[n]) for n in one.mask)
            assert all(torch.equal(one.weights[n], other.weights[n]) for n in one.weights)
            assert one.transfer.at_random == (0, 0) and one.transfer.shared == len(OWN) - 1


def test_every_arm_is_nested_keeps_the_same_of_each_layer_and_says_whence():
    below = None
    for rung in tickets():
        usual = masks.counts(rung["transferred"].mask)
        for arm in TRAVELLING:
            ticket = rung[arm]
            assert ticket.transfer.run == "abc"
            if arm != "transferred_inner":
                assert masks.counts(ticket.mask) == usual, arm
                assert ticket.transfer == rung["transferred"].transfer
            assert ticket.mask[EMBEDDING][0].all(), "<pad> cannot be pruned"
            if below:
                old = below[arm].mask
                assert all(not (ticket.mask[n] & ~old[n]).any() for n in old), arm
        below = rung


def test_the_inner_arm_has_the_words_of_its_own_ticket():
    for rung in tickets():
        made, usual = rung["transferred_inner"], rung["transferred"]
        assert torch.equal(made.mask[EMBEDDING], rung["lt"].mask[EMBEDDING])
        assert torch.equal(made.mask[CONVOLUTION], usual.mask[CONVOLUTION])
        assert made.transfer.by_word == made.transfer.at_random == (0, 0)


def test_shuffled_exchanges_rows_among_their_like_and_random_draws_where_they_came():
    def rows(part: torch.Tensor) -> Counter:
        return Counter(map(tuple, part.flatten(1).tolist()))

    rung = tickets()[-1]
    usual, moved, drawn = (rung[f"transferred{end}"].mask for end in ("", "_shuffled", "_random"))
    shared = torch.tensor([word in OTHER for word in OWN])
    for other in (moved, drawn):
        assert torch.equal(other[OUTPUT], usual[OUTPUT]), "the own ticket's"
        assert torch.equal(other[EMBEDDING][~shared], usual[EMBEDDING][~shared])
        assert not torch.equal(other[EMBEDDING], usual[EMBEDDING])
        assert not torch.equal(other[CONVOLUTION], usual[CONVOLUTION])
        for part, old in ((other[EMBEDDING][shared], usual[EMBEDDING][shared]),
                          (other[CONVOLUTION], usual[CONVOLUTION])):  # fmt: skip
            assert part.sum() == old.sum()
    assert rows(moved[CONVOLUTION]) == rows(usual[CONVOLUTION]) != rows(drawn[CONVOLUTION])
    for octave in ((1,), (2, 3), (4, 5, 6, 7), (8, 9)):
        like = [row for row in octave if shared[row]]
        assert rows(moved[EMBEDDING][like]) == rows(usual[EMBEDDING][like])


def test_another_seed_keeps_other_places_of_words_that_are_not_shared_and_as_many():
    here, there = network(OWN, 4, 0), network(OTHER, 1, 1)
    mine, theirs = ladder(here, "layer")[1], ladder(there, "layer")[1]
    one, again, other = (
        placed(abroad(OTHER, OWN, theirs, there, seed), mine).mask[EMBEDDING] for seed in (1, 1, 2)
    )
    lacking = torch.tensor([word not in OTHER for word in OWN])
    assert torch.equal(one, again) and torch.equal(one[~lacking], other[~lacking])
    assert not torch.equal(one[lacking], other[lacking])
    assert one[lacking].sum() == other[lacking].sum() == mine[EMBEDDING][lacking].sum()


def test_units_are_exchanged_within_their_gate():
    """An LSTM of two units and a layer of three inputs: four gates, one below the other."""
    names = ("lstm.weight_ih_l0", "lstm.weight_hh_l0")
    there = {names[0]: torch.zeros(8, 3, dtype=torch.bool), names[1]: torch.zeros(8, 2).bool()}
    for part in there.values():
        part[4] = True  # the first unit of the third gate
    found = placed(Foreign("abc", there, {}, torch.tensor([0])), there)
    seen = set()
    for seed in range(20):
        made = masks.exchanged(found.mask, torch.Generator().manual_seed(seed), found.came)
        for name in names:
            (row,) = made[name].all(1).nonzero()[:, 0].tolist()
            seen.add(row)
    assert seen == {4, 5}


def test_a_mask_that_leaves_a_layer_empty_is_refused():
    here, there = network(OWN, 4, 0), network(OTHER, 1, 1)
    mine, theirs = ladder(here, "layer")[0], ladder(there, "layer")[0]
    theirs[CONVOLUTION][:] = False
    with pytest.raises(UserError, match=f"run abc leaves {CONVOLUTION} without any weights"):
        placed(abroad(OTHER, OWN, theirs, there), mine)


def test_tensors_kept_dense_and_other_widths_are_the_own_tickets():
    here, there = network(OWN, 4, 0), network(OTHER, 1, 1)
    mine, theirs = ladder(here, "layer")[0], ladder(there, "layer")[0]
    del mine[CONVOLUTION], theirs[CONVOLUTION]
    theirs[EMBEDDING] = theirs[EMBEDDING][:, :-1]
    found = placed(abroad(OTHER, OWN, theirs, there), mine)
    mask, transfer = found.mask, found.transfer
    assert mask.keys() == mine.keys() and all(torch.equal(mask[n], mine[n]) for n in mine)
    assert transfer.by_word == transfer.as_found == transfer.at_random == (0, 0)


def test_a_transfer_comes_back_from_json():
    rung = tickets()[0]["transferred"].transfer
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(rung).items()}
    assert Transfer.from_json(values) == rung and Transfer.from_json(None) is None
