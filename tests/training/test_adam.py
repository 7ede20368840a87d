from __future__ import annotations

import numba
import pytest
import torch
from torch.nn import functional

from lottery.kernels import adam as kernels
from lottery.training import adam as adams
from lottery.training.adam import Adam, _Kept, _Rows, _Whole

SHAPES = {"embedding": (40, 6), "filters": (5, 6, 3), "bias": (5,), "scalar": ()}


def weights(dtype=torch.float32):
    draw = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=draw, dtype=dtype).requires_grad_()
        for name, shape in SHAPES.items()
    }


def masks():
    draw = torch.Generator().manual_seed(1)
    chosen = {name: torch.rand(SHAPES[name], generator=draw) < 0.5 for name in SHAPES}
    chosen["embedding"][3] = False  # a whole row
    return {name: chosen[name] for name in ("embedding", "filters", "scalar")}


def give_gradients(parameters, step, sparse):
    """The gradients of `step`; only some rows of the embedding have one, most rows now and then."""
    draw = torch.Generator().manual_seed(step)
    for weight in parameters.values():
        weight.grad = torch.randn(weight.shape, generator=draw).to(weight) / 10 ** (step % 3)
    words = torch.randperm(30, generator=draw)[:7]  # rows 30 to 39 never have a gradient
    used = functional.embedding(words, parameters["embedding"], sparse=sparse)
    parameters["embedding"].grad = None
    (used * torch.randn(used.shape, generator=draw).to(used)).sum().backward()


def run(steps, parameters, adam, sparse=True, first=0):
    for step in range(first, first + steps):
        give_gradients(parameters, step, sparse)
        adam.step()
        adam.zero_grad()
    return parameters


def force(monkeypatch, chosen):
    """Move every parameter this way; the kept ones alone where there is a mask."""
    plain = _Rows if chosen is _Kept else chosen
    monkeypatch.setattr(adams, "way", lambda weight, mask: plain if mask is None else chosen)


def by_torch(steps, kept=None, dtype=torch.float32, decay=0.0):
    parameters = weights(dtype)
    kept = kept or {}
    adam = torch.optim.Adam(parameters.values(), lr=1e-2, weight_decay=decay)

    def prune():
        for name, mask in kept.items():
            parameters[name].data[~mask] = 0
            for moment in list(adam.state.get(parameters[name], {}).values())[1:]:
                moment[~mask] = 0

    prune()
    for step in range(steps):
        give_gradients(parameters, step, sparse=False)
        for name, mask in kept.items():
            parameters[name].grad[~mask] = 0
        adam.step()
        prune()
    return parameters, adam


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("kept", [None, masks()])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("way", [_Rows, _Kept, _Whole])  # the last is that of a GPU
@pytest.mark.parametrize("decay", [0.0, 1e-4, 0.1])
def test_it_is_torch_adam(sparse, kept, dtype, close, way, decay, monkeypatch):
    force(monkeypatch, way)
    ours = weights(dtype)
    adam = Adam(ours, kept, 1e-2, weight_decay=decay)
    run(300, ours, adam, sparse)
    theirs, reference = by_torch(300, kept, dtype, decay)
    state = adam.state()
    for name in SHAPES:
        torch.testing.assert_close(ours[name], theirs[name], rtol=close, atol=close)
        want = reference.state[theirs[name]]
        for moment, key in (("first", "exp_avg"), ("second", "exp_avg_sq")):
            got = state[f"{name}.{moment}"]
            torch.testing.assert_close(got, want[key], rtol=close, atol=close)
        if name in (kept or {}):
            assert (ours[name][~kept[name]] == 0).all()


@pytest.mark.parametrize("decay", [0.0, 1e-3])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.6, 1.0])
def test_the_ways_on_the_cpu_are_one_to_the_bit(decay, density, monkeypatch):
    draw = torch.Generator().manual_seed(2)
    kept = {name: torch.rand(SHAPES[name], generator=draw) < density for name in SHAPES}
    found = []
    for way in (_Rows, _Kept):
        force(monkeypatch, way)
        ours = weights()
        adam = Adam(ours, kept, 1e-2, weight_decay=decay)
        run(50, ours, adam)
        found.append({**ours, **adam.state()})
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_the_way_follows_the_kept_share():
    weight = torch.zeros(4, 5)
    mask = torch.zeros(4, 5, dtype=torch.bool)
    assert adams.way(weight, None) is _Rows
    assert adams.way(weight, mask) is _Kept
    assert adams.way(weight, ~mask) is _Rows
    assert adams.way(weight.to("meta"), mask) is _Whole


@pytest.mark.parametrize("density", [0.2, 0.7, None])
def test_a_parameter_that_lies_on_its_side_moves_as_torchs_does(density):
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, generator=draw).t()
    mask = None if density is None else torch.rand(weight.shape, generator=draw) < density
    kept = torch.ones_like(weight, dtype=torch.bool) if mask is None else mask
    theirs = (weight * kept).clone().requires_grad_()
    ours = {"weight": weight.requires_grad_()}
    adam = Adam(ours, None if mask is None else {"weight": mask}, 1e-2)
    other = torch.optim.Adam([theirs], lr=1e-2)
    for _ in range(3):
        weight.grad = torch.randn(weight.shape, generator=draw)
        theirs.grad = weight.grad * kept
        adam.step()
        other.step()
    torch.testing.assert_close(weight, theirs)


def test_with_decay_every_row_moves_and_none_lags_behind():
    """Rows without a gradient, too, and in the very step (rows 30 to 39 never have one)."""
    ours = weights()
    adam = Adam(ours, None, 1e-2, weight_decay=1e-2)
    theirs, _ = by_torch(1, decay=1e-2)
    run(1, ours, adam)
    torch.testing.assert_close(ours["embedding"], theirs["embedding"])
    assert (ours["embedding"] != weights()["embedding"]).all()


def test_what_only_decay_moves_vanishes_without_slow_numbers():
    weight = torch.full((2, 3), 0.01, requires_grad=True)
    adam = Adam({"w": weight}, None, 1e-3, weight_decay=1e-4)
    smallest = torch.finfo(torch.float32).tiny
    for _ in range(4000):
        functional.embedding(torch.tensor([1]), weight, sparse=True).mul(weight[1]).sum().backward()
        adam.step()
        adam.zero_grad()
        for tensor in (weight.detach(), *adam.state().values()):
            assert ((tensor == 0) | (tensor.abs() >= smallest)).all()
    assert (weight[0] == 0).all()


@pytest.mark.parametrize("way", [_Rows, _Kept, _Whole])
def test_the_learning_rate_falls_to_zero_as_torchs_does(way, monkeypatch):
    force(monkeypatch, way)
    ours = weights(torch.float64)
    adam = Adam(ours, None, 1e-2, steps=20)
    run(20, ours, adam)
    theirs = weights(torch.float64)
    reference = torch.optim.Adam(theirs.values(), lr=1e-2)
    falling = torch.optim.lr_scheduler.LinearLR(reference, 1.0, 0.0, total_iters=20)
    for step in range(20):
        give_gradients(theirs, step, sparse=False)
        reference.step()
        falling.step()
    for name in SHAPES:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-12, atol=1e-12)
    before = {name: weight.detach().clone() for name, weight in ours.items()}
    run(1, ours, adam, first=20)  # the rate is zero now
    assert all(torch.equal(ours[name], before[name]) for name in ours)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("way", [_Rows, _Kept, _Whole])
def test_what_the_mask_removes_is_zero_from_the_start_and_after_every_step(way, decay, monkeypatch):
    force(monkeypatch, way)
    kept, parameters = masks(), weights()
    adam = Adam(parameters, kept, 1e-2, weight_decay=decay)
    for step in range(4):
        state = adam.state()
        for name, mask in kept.items():
            for tensor in (parameters[name], state[f"{name}.first"], state[f"{name}.second"]):
                assert (tensor[~mask] == 0).all()
        run(1, parameters, adam, first=step)


def test_a_kept_zero_trains_on():
    parameters = weights()
    parameters["bias"].data.zero_()
    kept = {"bias": torch.tensor([True, False, True, True, True])}
    run(1, parameters, Adam(parameters, kept, 1e-2))
    assert (parameters["bias"] != 0).tolist() == kept["bias"].tolist()


def test_a_gradient_that_is_no_number_does_not_pass_the_mask():
    weight = torch.ones(3, requires_grad=True)
    adam = Adam({"w": weight}, {"w": torch.tensor([True, False, True])}, 1e-2)
    weight.grad = torch.tensor([1.0, torch.nan, torch.nan])
    adam.step()
    assert weight[0] < 1
    assert weight[1] == 0
    assert weight[2].isnan()


def test_a_row_named_twice_gets_the_sum():
    results = []
    for sparse in (True, False):
        parameters = weights()
        adam = Adam(parameters, None, 1e-2)
        for _ in range(2):
            words = torch.tensor([4, 2, 4, 4])
            functional.embedding(words, parameters["embedding"], sparse=sparse).sum().backward()
            adam.step()
            adam.zero_grad()
        results.append(parameters["embedding"].detach())
    torch.testing.assert_close(*results)


def test_a_parameter_without_gradient_stays():
    parameters = weights()
    adam = Adam(parameters, None, 1e-2)
    run(2, parameters, adam)
    before = parameters["bias"].detach().clone(), adam.state()["bias.first"]
    give_gradients(parameters, 3, sparse=True)
    parameters["bias"].grad = None
    adam.step()
    assert torch.equal(parameters["bias"], before[0])
    assert torch.equal(adam.state()["bias.first"], before[1])


@pytest.mark.parametrize("more", [{}, {"weight_decay": 1e-2, "steps": 12}])
@pytest.mark.parametrize("way", [_Rows, _Kept, _Whole])
def test_training_goes_on_from_a_state_to_the_bit(way, more, monkeypatch):
    force(monkeypatch, way)
    kept = masks()
    straight = weights()
    run(9, straight, Adam(straight, kept, 1e-2, **more))

    begun = weights()
    adam = Adam(begun, kept, 1e-2, **more)
    run(4, begun, adam)
    state = adam.state()
    halfway = {name: weight.detach().clone() for name, weight in begun.items()}
    run(1, begun, adam, first=4)  # the state is a copy

    resumed = weights()
    other = Adam(resumed, kept, 1e-2, **more)
    run(1, resumed, other, first=50)  # what it did before does not count
    for name, weight in halfway.items():
        resumed[name].data.copy_(weight)
    other.load(state)
    run(5, resumed, other, first=4)
    for name in SHAPES:
        assert torch.equal(resumed[name], straight[name])


@pytest.mark.parametrize("way", [_Rows, _Kept])
@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_threads_leave_every_bit(way, decay, monkeypatch):
    """And a small parameter, which one thread moves, is moved as by several."""
    force(monkeypatch, way)
    before = numba.get_num_threads()
    results = []
    try:
        for small, threads in (
            (adams.SMALL, 1),
            (0, 1),
            (0, min(2, numba.config.NUMBA_NUM_THREADS)),
        ):
            monkeypatch.setattr(adams, "SMALL", small)
            numba.set_num_threads(threads)
            parameters = weights()
            adam = Adam(parameters, masks(), 1e-2, weight_decay=decay)
            results.append(run(20, parameters, adam))
    finally:
        numba.set_num_threads(before)
    for name in SHAPES:
        assert torch.equal(results[0][name], results[1][name])
        assert torch.equal(results[0][name], results[2][name])


@pytest.mark.parametrize("way", [_Rows, _Kept])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_matrix_of_many_pieces_moves_as_torchs_does_on_any_threads(way, decay, monkeypatch):
    """The matrices above are one piece of work, a real one is hundreds, which threads share."""
    force(monkeypatch, way)
    draw = torch.Generator().manual_seed(4)
    start = torch.randn(1500, 23, generator=draw)
    assert all(len(start) > 2 * (one // 23) for one in (kernels._PIECE, kernels._STREAMED))
    mask = torch.rand(start.shape, generator=draw) < 0.3
    steps = []
    for _ in range(8):
        words = torch.randperm(1400, generator=draw)[:300]  # the last rows never have a gradient
        steps.append((words, torch.randn(300, 23, generator=draw)))

    before, found = numba.get_num_threads(), []
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            weight = start.clone().requires_grad_()
            adam = Adam({"w": weight}, {"w": mask}, 1e-2, weight_decay=decay)
            for words, slopes in steps:
                (functional.embedding(words, weight, sparse=True) * slopes).sum().backward()
                adam.step()
                adam.zero_grad()
            found.append(weight.detach())
    finally:
        numba.set_num_threads(before)
    theirs = (start * mask).requires_grad_()
    adam = torch.optim.Adam([theirs], lr=1e-2, weight_decay=decay)
    for words, slopes in steps:
        adam.zero_grad()
        (functional.embedding(words, theirs) * slopes).sum().backward()
        theirs.grad *= mask
        adam.step()
    assert torch.equal(*found)
    torch.testing.assert_close(found[0], theirs.detach(), rtol=2e-5, atol=2e-5)
    assert (found[0] != start * mask).any(1)[:1400].float().mean() > 0.5


def test_moments_fade_to_nothing_and_not_to_slow_numbers():
    weight = torch.zeros(2, 3, requires_grad=True)
    adam = Adam({"w": weight}, None, 1e-2)
    for step in range(1200):
        words = torch.tensor([0 if step == 0 else 1])
        functional.embedding(words, weight, sparse=True).sum().backward()
        adam.step()
        adam.zero_grad()
    assert (adam.state()["w.first"][0] == 0).all()
    assert (adam.state()["w.second"][0] > 0).all()


def test_masks_that_do_not_fit_are_refused():
    parameters = weights()
    with pytest.raises(ValueError, match="no such parameter"):
        Adam(parameters, {"other": torch.ones(3, dtype=torch.bool)}, 1e-2)
    for mask in (torch.ones(4, dtype=torch.bool), torch.ones(5)):
        with pytest.raises(ValueError, match="mask of bias"):
            Adam(parameters, {"bias": mask}, 1e-2)


def test_a_row_whose_first_moment_has_faded_goes_on_from_a_state():
    def step(adam, weight, word):
        functional.embedding(torch.tensor([word]), weight, sparse=True).sum().backward()
        adam.step()
        adam.zero_grad()

    weight = torch.zeros(2, 3, requires_grad=True)
    adam = Adam({"w": weight}, None, 1e-2)
    for number in range(1200):  # as of a rare word
        step(adam, weight, int(number > 0))
    again = weight.detach().clone().requires_grad_()
    other = Adam({"w": again}, None, 1e-2)
    other.load(adam.state())
    assert not other.state()["w.first"][0].any() and other.state()["w.second"][0].all()
    for word in (1,) * 50 + (0,):
        step(adam, weight, word)
        step(other, again, word)
    assert torch.equal(weight, again)
