"""Token ids to logits. A model is one class here; `MODELS` says which there are."""

from __future__ import annotations

import torch
from torch import nn

from lottery.files import UserError
from lottery.models.cnn import CNN
from lottery.models.initialise import xavier
from lottery.models.lstm import LSTM
from lottery.settings import Settings

MODELS: dict[str, type[nn.Module]] = {"cnn": CNN, "lstm": LSTM}


def build(settings: Settings, words: int, outputs: int) -> nn.Module:
    """A model with a vocabulary of `words` and `outputs` logits, weights still arbitrary."""
    if settings.model not in MODELS:
        raise UserError(f"unknown model {settings.model!r}: there are {', '.join(MODELS)}")
    return MODELS[settings.model](settings, words, outputs)


def draw(model: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Fresh Xavier-normal weights for `model`, which keeps its own, named as its parameters."""
    return xavier(model, torch.Generator().manual_seed(seed))
