"""Scores by hand: what each one says of a few weights, and what no score may say."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from helpers.scoring import at, unasked
from lottery.files import UserError
from lottery.pruning.scores import SCORES, Score

TRAINED = {"a": tensor([[-2.0, 0.5]]), "b": tensor([[3.0], [-1.0]])}
FIRST = {"a": tensor([[-1.0, 1.0]]), "b": tensor([[-3.0], [0.0]])}


def told(name: str, *about, **more) -> dict[str, list]:
    return {n: part.flatten().tolist() for n, part in SCORES[name](at(*about, **more)).items()}


def test_magnitude_is_the_size_of_a_weight():
    assert told("magnitude", TRAINED, FIRST) == {"a": [2.0, 0.5], "b": [3.0, 1.0]}


def test_movement_is_the_way_from_the_first_value():
    # |−2 − −1|, |0.5 − 1|; |3 − −3|, |−1 − 0|
    assert told("movement", TRAINED, FIRST) == {"a": [1.0, 0.5], "b": [6.0, 1.0]}


def test_magnitude_increase_is_growth_and_may_be_negative():
    # |−2| − |−1|, |0.5| − |1|; |3| − |−3|, |−1| − |0|
    assert told("magnitude_increase", TRAINED, FIRST) == {"a": [1.0, -0.5], "b": [0.0, 1.0]}


@pytest.mark.parametrize("name", ["taylor", "snip"])
def test_sensitivity_is_the_size_of_weight_times_gradient(name):
    slopes = {"a": tensor([[0.5, 0.0]]), "b": tensor([[-1.0], [4.0]])}
    found = told(name, TRAINED, slope=lambda weights: slopes)
    assert found == {"a": [1.0, 0.0], "b": [3.0, 4.0]}


def test_sensitivity_is_what_a_linear_loss_loses_with_a_weight():
    """L = Σ c w: without w it is |c w| away, exactly."""
    c = {"a": tensor([[3.0, -7.0]]), "b": tensor([[0.25], [1.0]])}

    def loss(weights) -> float:
        return sum(float((c[n] * w).sum()) for n, w in weights.items())

    found = SCORES["snip"](at(TRAINED, slope=lambda weights: c))
    for name, weight in TRAINED.items():
        for place in range(weight.numel()):
            less = {n: w.clone() for n, w in TRAINED.items()}
            less[name].view(-1)[place] = 0
            lost = abs(loss(TRAINED) - loss(less))
            assert float(found[name].view(-1)[place]) == pytest.approx(lost)


def quadratic(matrix):
    """The slope of L = ½ wᵀ A w: A w, whose Hessian is A."""
    return lambda weights: {"w": (matrix.to(weights["w"].dtype) @ weights["w"].flatten())[None]}


def test_grasp_by_hand():
    # A = [[2, 1], [1, 3]], w = (1, 2): g = A w = (4, 7), Hg = A g = (15, 25), w · Hg = (15, 50).
    matrix = tensor([[2.0, 1.0], [1.0, 3.0]])
    found = told("grasp", {"w": tensor([[1.0, 2.0]])}, slope=quadratic(matrix))["w"]
    assert found == pytest.approx([15.0, 50.0], rel=1e-8)


@given(
    st.lists(st.floats(-3, 3), min_size=9, max_size=9),
    st.lists(st.floats(0.5, 3), min_size=3, max_size=3),
)
def test_grasp_is_the_gradient_flow_lost_to_first_order(numbers, weights):
    """½ d/dε ‖g(w − ε w_i e_i)‖² = −w_i [Hg]_i, of any quadratic loss."""
    half = tensor(numbers, dtype=torch.float64).view(3, 3)
    matrix, w = half + half.T, tensor(weights, dtype=torch.float64)
    found = SCORES["grasp"](at({"w": w[None]}, slope=quadratic(matrix)))["w"][0]
    for place in range(3):
        along = torch.zeros(3, dtype=torch.float64)
        along[place] = w[place]
        epsilon = 1e-6
        flow = [float((matrix @ (w - sign * epsilon * along)).square().sum()) for sign in (1, -1)]
        lost = -(flow[0] - flow[1]) / (4 * epsilon)
        assert float(found[place]) == pytest.approx(lost, abs=1e-4, rel=1e-5)


def test_grasp_without_a_slope_has_no_order():
    assert told("grasp", TRAINED, slope=lambda w: {n: 0 * v for n, v in w.items()}) == {
        "a": [0.0, 0.0],
        "b": [0.0, 0.0],
    }


def test_random_is_a_lot_of_the_seed_alone():
    one, same, other = (told("random", TRAINED, seed=seed) for seed in (1, 1, 2))
    assert one == same != other
    assert one == told("random", FIRST, seed=1), "whatever the weights are"
    values = SCORES["random"](at({"w": torch.zeros(100, 100)}, seed=3))["w"].flatten()
    assert values.min() >= 0 and values.max() < 1 and len(values.unique()) == len(values)
    assert abs(float(values.mean()) - 0.5) < 4 * math.sqrt(1 / 12 / len(values))


def test_which_scores_look_at_first_values_and_which_at_gradients():
    assert {n for n, s in SCORES.items() if s.of_first} == {"snip", "grasp", "random"}
    for name in ("magnitude", "movement", "magnitude_increase", "random"):
        SCORES[name](at(TRAINED, FIRST, slope=unasked))
    for name in ("taylor", "snip", "grasp"):
        with pytest.raises(AssertionError, match="needs no gradient"):
            SCORES[name](at(TRAINED, FIRST, slope=unasked))


def test_gradients_are_computed_once():
    asked = []
    context = at(TRAINED, slope=lambda weights: asked.append(weights) or TRAINED)
    assert context.gradients is context.gradients
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (None, "gives NoneType, not a dict"),
        ({"a": TRAINED["a"]}, r"gives no tensor \(2, 1\) for b"),
        ({"a": TRAINED["a"], "b": [1, 2]}, "no tensor"),
        ({"a": TRAINED["a"][0], "b": TRAINED["b"]}, r"gives no tensor \(1, 2\) for a"),
        ({"a": TRAINED["a"] * math.nan, "b": TRAINED["b"]}, "of a holds NaN"),
    ],
)
def test_what_is_no_score_is_one_clear_line(gives, says):
    with pytest.raises(UserError, match=f"score 'odd' {says}|{says}"):
        Score("odd", lambda context: gives, "")(at(TRAINED))


def test_nan_where_a_weight_is_pruned_already_is_no_matter():
    mask = {"a": tensor([[False, True]]), "b": tensor([[True], [True]])}
    gives = {"a": tensor([[math.nan, 1.0]]), "b": TRAINED["b"]}
    assert Score("odd", lambda context: gives, "")(at(TRAINED, mask=mask))["a"][0, 1] == 1.0


def test_taylor_slope_is_taken_at_the_trained_weights():
    trained, first = {"a": torch.tensor([[2.0, 3.0]])}, {"a": torch.tensor([[5.0, 7.0]])}
    found = SCORES["taylor"](at(trained, first, slope=dict))  # L = ½ Σ w²: its slope is w
    assert found["a"].tolist() == [[4.0, 9.0]]


def test_grasp_of_a_loss_that_is_no_quadratic():
    w = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    found = SCORES["grasp"](at({"w": w}, slope=lambda of: {"w": of["w"] ** 3}))["w"]  # L = ¼ Σ w⁴
    assert found[0].tolist() == pytest.approx((3 * w**6)[0].tolist(), rel=1e-6)  # w · 3w² · w³
