"""The models by name: how one is built, checked, called and drawn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lottery.data.batches import Batch
from lottery.files import UserError, check_known
from lottery.models.base import Model
from lottery.models.cnn import CNN
from lottery.models.initialise import xavier
from lottery.models.lstm import LSTM
from lottery.settings import Settings

MODELS: dict[str, type[Model]] = {"cnn": CNN, "lstm": LSTM}


def build(settings: Settings, words: int, outputs: int) -> Model:
    """A model with a vocabulary of `words` and `outputs` logits, weights still arbitrary."""
    return MODELS[check_known("model", settings.model, MODELS)](settings, words, outputs)


def check_form(name: str, model: nn.Module, words: int) -> None:
    """UserError for a model whose weights could not be pruned and rewound."""
    parameters = dict(model.named_parameters())
    embedding = parameters.get("embedding.weight")
    if embedding is None or embedding.dim() != 2 or len(embedding) != words:
        raise UserError(
            f"model {name!r} has no word vectors embedding.weight of {words} rows: call its "
            f"nn.Embedding(words, ...) `embedding`"
        )
    if more := sorted(set(model.state_dict()) ^ set(parameters)):
        raise UserError(
            f"model {name!r} keeps {more[0]}, which is no parameter of its own: layers with "
            f"buffers (as batch norm) or shared weights cannot be rewound"
        )


@torch.no_grad()
def check_logits(name: str, model: nn.Module, batch: Batch, outputs: int) -> None:
    """UserError unless `model`, which may be left changed, gives (B, outputs) logits for a batch.

    One column would be taken for a binary answer, and more than there are classes for logits.
    """
    logits = model.eval()(batch)
    given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if given != (len(batch), outputs):
        raise UserError(
            f"model {name!r} gives {given} for {len(batch)} texts, not {(len(batch), outputs)}: "
            f"end it with nn.Linear(..., outputs), and return that tensor alone"
        )


def label(name: str) -> str:
    """A model's name in tables and figures."""
    return (MODELS[name].label if name in MODELS else "") or name.upper()


def draw(model: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Fresh Xavier-normal weights for `model`, which keeps its own, named as its parameters."""
    return xavier(model, torch.Generator().manual_seed(seed))
