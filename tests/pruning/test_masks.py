"""Scores to masks: brute force, hand-worked examples and properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.scoring import at
from lottery.files import UserError
from lottery.pruning import masks
from lottery.pruning.arms import ARMS, Arm, Origins
from lottery.pruning.scores import magnitude
from lottery.pruning.tickets import Ticket
from lottery.settings import STARTS

CONTROLS = ("random_mask", "shuffled", "exchanged")
LADDERS = st.lists(st.floats(0.05, 0.9), min_size=1, max_size=4, unique=True).map(
    lambda s: tuple(sorted(s))
)


def weights(seed: int = 0, levels: int | None = None) -> dict[str, torch.Tensor]:
    """A small network's tensors; with `levels` many of them are equal in magnitude."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "embedding.weight": (7, 5),
        "convolutions.0.weight": (4, 5, 3),
        "convolutions.0.bias": (4,),
        "output.weight": (3, 12),
        "output.bias": (3,),
    }
    made = {n: torch.randn(shape, generator=generator) for n, shape in shapes.items()}
    if levels:
        made = {
            n: torch.randint(-levels, levels, w.shape, generator=generator).float()
            for n, w in made.items()
        }
    made["embedding.weight"][0] = 0
    return made


def brute_force(scores: list[float], kept: list[bool], removed: int) -> list[bool]:
    """Remove by sorting (already removed, score, position)."""
    order = sorted(range(len(scores)), key=lambda i: (kept[i], scores[i], i))
    gone = set(order[:removed])
    return [i not in gone for i in range(len(scores))]


@settings(max_examples=60)
@given(st.integers(0, 10**6), LADDERS, st.sampled_from([None, 1, 3]))
def test_a_ladder_is_what_brute_force_makes_of_it(seed, ladder, levels):
    mask = masks.full_mask(weights())
    for rung in range(1, len(ladder) + 1):
        trained = weights(seed + rung, levels)
        before, steps = mask, ladder[:rung]
        mask = masks.prune(magnitude(at(trained)), before, steps)
        output = 1.0
        for below, above in zip((0, *steps), steps, strict=False):
            output *= 1 - 0.5 * (1 - (1 - above) / (1 - below))
        for name, kept in mask.items():
            skip = 1 if name == "embedding.weight" else 0
            share = 1 - output if name == "output.weight" else steps[-1]
            scores = trained[name][skip:].abs().flatten().tolist()
            removed = int(share * len(scores) + 0.5)
            wanted = brute_force(scores, before[name][skip:].flatten().tolist(), removed)
            assert kept[skip:].flatten().tolist() == wanted
            assert masks.counts(mask)[name] == (removed, len(scores))
            assert not (kept & ~before[name]).any(), "masks of a ladder are nested"
        assert mask["embedding.weight"][0].all(), "<pad> cannot be pruned"
        assert set(mask) == {"embedding.weight", "convolutions.0.weight", "output.weight"}


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(0.05, 0.6), st.sampled_from([None, 2]))
def test_global_pruning_ranks_all_layers_together(seed, sparsity, levels):
    trained = weights(seed, levels)
    free = masks.prunable(trained)
    scores = torch.cat([w.abs().flatten() for w in free.values()]).tolist()
    wanted = brute_force(scores, [True] * len(scores), int(sparsity * len(scores) + 0.5))
    try:
        mask = masks.prune(magnitude(at(trained)), masks.full_mask(trained), (sparsity,), "global")
    except UserError as error:
        sizes = [w.numel() for w in free.values()]
        parts = torch.tensor(wanted).split(sizes)
        assert "without any" in str(error)
        assert any(not part.any() for part in parts)
        return
    got = torch.cat([m.flatten() for m in masks.prunable(mask).values()]).tolist()
    assert got == wanted


def test_ties_fall_by_position():
    scores = {"output.weight": torch.tensor([[1.0, 0.0, 1.0, 1.0]])}
    kept = masks.prune(scores, masks.full_mask(scores), (0.5,), output_rate=1.0)
    assert kept["output.weight"].tolist() == [[False, False, True, True]]


def test_half_a_ladder_by_hand():
    """0.5 then 0.75 halves twice; the output layer loses a quarter twice: 1 - 0.75² = 0.4375."""
    sizes = {"output.weight": 1600, "lstm.weight_hh_l0": 1600}
    assert masks.removed_by_layer(sizes, (0.5,), 0.5) == {
        "output.weight": 400,
        "lstm.weight_hh_l0": 800,
    }
    assert masks.removed_by_layer(sizes, (0.5, 0.75), 0.5) == {
        "output.weight": 700,
        "lstm.weight_hh_l0": 1200,
    }


def test_pruned_is_a_fact_of_the_mask_not_of_a_zero():
    scores = {"output.weight": torch.tensor([[0.0, 0.0, 3.0, 1.0, 2.0, 4.0, 5.0, 6.0]])}
    mask = {"output.weight": torch.tensor([[True, False, True, True, True, True, True, True]])}
    kept = masks.prune(scores, mask, (0.25,), output_rate=1.0)
    assert kept["output.weight"].tolist() == [[False, False, True, True, True, True, True, True]]
    assert masks.counts(mask)["output.weight"] == (1, 8), "a kept zero is not pruned"


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_kept_weight_that_scores_minus_infinity_brings_no_pruned_one_back(scope):
    scores = {"output.weight": torch.tensor([[0.0, 9.0, 3.0, 1.0, 2.0, 4.0, 5.0, 6.0]]).log()}
    mask = {"output.weight": torch.tensor([[True, False, True, True, True, True, True, True]])}
    for sparsity, gone in ((0.125, [1]), (0.25, [0, 1])):
        kept = masks.prune(scores, mask, (sparsity,), scope, output_rate=1.0)["output.weight"]
        assert (~kept[0]).nonzero().flatten().tolist() == gone


def test_a_layer_without_weights_is_refused():
    sizes = {"output.weight": 10, "lstm.weight_hh_l0": 4}
    with pytest.raises(UserError, match=r"sparsity 0\.9 leaves lstm\.weight_hh_l0 \(4 weights\)"):
        masks.check_room(sizes, (0.5, 0.9), 0.5)
    masks.check_room(sizes, (0.5, 0.8), 0.5)


def test_scores_that_are_nan_are_refused():
    scores = {"output.weight": torch.tensor([[1.0, float("nan")]])}
    with pytest.raises(ValueError, match="NaN"):
        masks.prune(scores, masks.full_mask(scores), (0.5,))


@settings(max_examples=30)
@given(st.integers(0, 10**6), LADDERS, st.sampled_from(CONTROLS))
def test_controls_keep_each_layers_count_and_stay_nested(seed, ladder, control):
    mask, below = masks.full_mask(weights()), None
    for rung in range(1, len(ladder) + 1):
        mask = masks.prune(magnitude(at(weights(seed + rung))), mask, ladder[:rung])
        first = weights(99)
        made = ARMS[control].make(Origins(first=first, mask=mask, seed=7)).mask
        assert masks.counts(made) == masks.counts(mask)
        assert made["embedding.weight"][0].all()
        if below is not None:
            assert all(not (made[n] & ~below[n]).any() for n in made)
        below = made


@given(
    st.lists(st.booleans(), min_size=6, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6)
)
def test_two_masks_have_one_digest_where_they_remove_the_same(one, other):
    def mask(bits: list[bool]) -> masks.Mask:
        return {"a.weight": torch.tensor(bits[:4]).view(2, 2), "b.weight": torch.tensor([bits[4:]])}

    assert (masks.digest(mask(one)) == masks.digest(mask(other))) == (one == other)
    named = {name: part for name, part in mask(one).items() if not part.all()}
    assert masks.digest(named) == masks.digest(mask(one)), "as a tensor that is kept dense"


def test_nothing_depends_on_the_order_of_the_tensors():
    """A checkpoint gives them back in another order than the model does."""
    trained, mask = weights(1), masks.full_mask(weights())
    turned = dict(reversed(trained.items())), dict(reversed(mask.items()))
    for scope in ("layer", "global"):
        one = masks.prune(magnitude(at(trained)), mask, (0.3,), scope)
        other = masks.prune(magnitude(at(turned[0])), turned[1], (0.3,), scope)
        assert all(torch.equal(one[n], other[n]) for n in mask)
    for control in CONTROLS:
        one_mask = ARMS[control].make(Origins(trained, one, seed=1)).mask
        other_mask = ARMS[control].make(Origins(trained, dict(reversed(one.items())), seed=1)).mask
        assert all(torch.equal(one_mask[n], other_mask[n]) for n in mask)


def test_controls_move_the_mask():
    mask = masks.prune(magnitude(at(weights(1))), masks.full_mask(weights()), (0.5,))
    for control in CONTROLS:
        made = [ARMS[control].make(Origins(weights(), mask, seed=s)).mask for s in (0, 0, 1)]
        assert all(torch.equal(made[0][n], made[1][n]) for n in mask)
        for other in (mask, made[2]):
            assert not torch.equal(made[0]["convolutions.0.weight"], other["convolutions.0.weight"])


def rows(part: torch.Tensor) -> list[list[bool]]:
    """Its rows in a fixed order."""
    return sorted(part.flatten(1).tolist())


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_rows_are_exchanged_among_their_like(seed, units):
    """Words of an octave of places, filters of a width, units of a gate: each row is kept whole."""
    noise = torch.Generator().manual_seed(seed)
    shapes = {
        "embedding.weight": (21, 4),
        "convolutions.0.weight": (6, 4, 3),
        "lstm.weight_ih_l0": (4 * units, 5),
        "lstm.weight_hh_l0": (4 * units, units),
    }
    mask = {name: torch.rand(shape, generator=noise) < 0.5 for name, shape in shapes.items()}
    made = masks.exchanged(mask, torch.Generator().manual_seed(seed + 1))
    like = {name: [slice(n * units, (n + 1) * units) for n in range(4)] for name in mask}
    like["convolutions.0.weight"] = [slice(None)]
    octaves = [(0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 21)]  # `<pad>` and `<unk>` alone
    like["embedding.weight"] = [slice(*ends) for ends in octaves]
    for name, groups in like.items():
        for group in groups:
            assert rows(made[name][group]) == rows(mask[name][group]), name


def test_a_ticket_keeps_as_many_weights_as_its_rung():
    mask = masks.prune(magnitude(at(weights(1))), masks.full_mask(weights()), (0.5,))
    moved = {name: part.clone() for name, part in mask.items()}
    for name, keep in (("convolutions.0.weight", False), ("output.weight", True)):
        part = moved[name].flatten()  # a view: one weight of one layer for one of another
        part[int((part != keep).nonzero()[0])] = keep
    arm = Arm("mine", "mine", lambda o: Ticket(o.first, moved), "another mask")
    kept = int(mask["convolutions.0.weight"].sum())
    says = f"arm 'mine' keeps {kept - 1} weights of convolutions.0.weight, and its rung {kept}: "
    with pytest.raises(UserError, match=says):
        arm(Origins(weights(), mask))
    arm(Origins(weights(), mask, scope="global"))  # that counts all layers together
    moved["output.weight"][...] = True
    with pytest.raises(UserError, match="weights of all layers, and its rung"):
        arm(Origins(weights(), mask, scope="global"))
    replace(arm, make=lambda o: Ticket(o.first, o.mask))(Origins(weights(), mask))
    replace(arm, name="transferred_mine")(Origins(weights(), mask))  # another's has its own counts


def test_arms_start_from_the_weights_they_name():
    mask = masks.prune(magnitude(at(weights(1))), masks.full_mask(weights()), (0.5,))
    first, trained, rewound, new = weights(2), weights(3), weights(4), weights(5)
    origins = Origins(first, mask, rewound, trained, lambda: new, seed=0)
    every = {"first": first, "trained": trained, "rewound": rewound, "new_draw": new}
    starts = {"dense": "first", "lt": "rewound", **STARTS}
    assert set(starts) == {name for name, arm in ARMS.items() if not arm.travels}
    for arm, start in starts.items():
        ticket = ARMS[arm].make(origins)
        for name, weight in every[start].items():
            kept = (ticket.mask or {}).get(name, torch.ones_like(weight, dtype=torch.bool))
            assert torch.equal(ticket.weights[name], weight * kept), (arm, name)
            assert not ticket.weights[name][~kept].signbit().any(), "zero, and not −0"
            assert ticket.weights[name].data_ptr() != weight.data_ptr(), "cloned, not aliased"
    for arm in (arm for arm, start in starts.items() if start != "first"):
        assert all(torch.equal(ARMS[arm].make(origins).mask[n], mask[n]) for n in mask)


def test_half_a_weight_is_one_weight():
    assert masks.removed_by_layer({"a.weight": 5, "b.weight": 7}, (0.5,), 0.5) == {
        "a.weight": 3, "b.weight": 4,
    }  # fmt: skip
