"""Token ids to logits. A model is one class, with its own costs, and one line in `MODELS`."""

from __future__ import annotations

import torch
from torch import nn

from lottery.files import UserError
from lottery.models.base import Model
from lottery.models.cnn import CNN
from lottery.models.initialise import xavier
from lottery.models.lstm import LSTM
from lottery.settings import Settings

MODELS: dict[str, type[Model]] = {"cnn": CNN, "lstm": LSTM}


def build(settings: Settings, words: int, outputs: int) -> nn.Module:
    """A model with a vocabulary of `words` and `outputs` logits, weights still arbitrary."""
    if settings.model not in MODELS:
        raise UserError(f"unknown model {settings.model!r}: there are {', '.join(MODELS)}")
    return MODELS[settings.model](settings, words, outputs)


def label(name: str) -> str:
    """A model's name in tables and figures."""
    return (MODELS[name].label if name in MODELS else "") or name.upper()


def draw(model: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Fresh Xavier-normal weights for `model`, which keeps its own, named as its parameters."""
    return xavier(model, torch.Generator().manual_seed(seed))
