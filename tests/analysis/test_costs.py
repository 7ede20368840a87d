"""Parameters and multiply-adds, against PyTorch's own layers and by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.synthetic import record
from lottery.analysis import costs
from lottery.data import DATASETS
from lottery.data.sources import Dataset
from lottery.models import MODELS
from lottery.pruning.masks import prunable
from lottery.settings import Settings

OPTIONS = {
    "cnn": {"filters": 6, "widths": (2, 5)},
    "lstm": {"hidden": 7, "layers": 2, "directions": 1},
}


def layers_of(settings: Settings, outputs: int) -> tuple[torch.nn.Module, dict]:
    model = MODELS[settings.model](settings, words=50, outputs=outputs)
    weights = dict(model.named_parameters())
    return model, {name: (0, part.numel()) for name, part in prunable(weights).items()}


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_all_parameters_are_counted(name, plain, outputs):
    dataset = {1: "imdb", 4: "agnews"}[outputs]
    settings = Settings(dataset, name, **({} if plain else OPTIONS[name]))
    model, layers = layers_of(settings, outputs)
    found = costs.cost(settings, layers, 100, outputs)
    everything = sum(part.numel() for part in model.parameters())
    assert found.parameters == everything - settings.embedding_size  # without the row of <pad>
    assert found.embedding == 49 * settings.embedding_size


def test_multiply_adds_of_a_cnn_by_hand():
    settings = Settings("imdb", "cnn", embedding_size=10, filters=6, widths=(2, 5))
    layers = {
        "embedding.weight": (245, 490),
        "convolutions.0.weight": (20, 120),
        "convolutions.1.weight": (0, 300),
        "output.weight": (2, 12),
    }
    found = costs.cost(settings, layers, 20, 1)
    assert found.multiply_adds == 100 * 19 + 300 * 16 + 10
    assert found.embedding == 245
    assert found.others == 100 + 300 + 10 + 12 + 1
    whole = costs.cost(settings, costs.full(layers), 20, 1)
    assert whole.multiply_adds == 120 * 19 + 300 * 16 + 12
    assert costs.cost(settings, layers, 1, 1).multiply_adds == 100 + 300 + 10  # one window, padded


def test_multiply_adds_of_an_lstm_by_hand():
    settings = Settings("imdb", "lstm", embedding_size=10, hidden=3)
    _, layers = layers_of(settings, 4)
    # Two directions, four gates of three units, each on ten inputs and three states.
    assert costs.cost(settings, layers, 20, 1).multiply_adds == 20 * 2 * 12 * 13 + 24


def test_a_text_is_as_long_as_the_datasets_entry_says(monkeypatch):
    other = Dataset("Other", ("no", "yes"), (7, 2, 1), official=False)
    monkeypatch.setitem(DATASETS, "other", other)
    monkeypatch.setitem(DATASETS, "long", replace(other, length=300))
    wanted = {"imdb": 200, "agnews": 40, "other": 40, "long": 300}
    assert {name: costs.text_length(record(name)) for name in wanted} == wanted
    assert costs.text_length(record("long", max_tokens=50)) == 50


@pytest.mark.parametrize(("median", "tokens"), [(0, 1), (7, 7), (999, 50)])
def test_a_corpus_from_outside_says_how_long_its_texts_are(median, tokens):
    one = record("mine", max_tokens=50)
    own = {"classes": ["a", "b", "c"], "length": median}
    one = replace(one, data=one.data | own)
    assert costs.text_length(one) == tokens and costs.outputs(one) == 3
