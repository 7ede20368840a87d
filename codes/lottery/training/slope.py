"""The gradient of the loss at given weights, for scores; no step of a training uses it."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch

from lottery.data.batches import Split, batches, by_length
from lottery.models.base import Model
from lottery.pruning.tickets import Weights
from lottery.training.epoch import EVALUATION_BATCH, criterion
from lottery.training.interrupts import between_steps


def slope(model: Model, split: Split, weights: Weights) -> Weights:
    """∂L/∂w of every parameter at `weights`, the mean over the texts of `split`, without dropout.

    On the CPU, whatever the device of training: the same to the bit everywhere. In the weights' own
    precision; `model` lends its form and keeps its weights. A parameter that the loss does not
    depend on has zeros.
    """
    own = deepcopy(model).to("cpu", next(iter(weights.values())).dtype).eval()
    own.wear(None)  # the mask worn is that of other weights
    own.load_state_dict(weights)
    total = {name: torch.zeros_like(weight) for name, weight in own.named_parameters()}
    for batch in batches(split, EVALUATION_BATCH, by_length(split)):
        loss = criterion(own(batch), batch.labels, "none").sum() / len(split)
        found = torch.autograd.grad(loss, list(own.parameters()), allow_unused=True)
        for sum_, part in zip(total.values(), found, strict=True):
            if part is not None:
                sum_ += part  # a sparse one, too
        between_steps()
    return {name: part.detach() for name, part in total.items()}


def sample(split: Split, texts: int, seed: int) -> Split:
    """`texts` texts by lot, all where there are no more."""
    order = np.random.default_rng(seed).permutation(len(split))
    return split.take(np.sort(order[:texts]))
