"""A new arm and a new model are one object and one line of a registry each, up to the report."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lottery import Study, models
from lottery.data.batches import Batch
from lottery.models.base import Model
from lottery.pruning import arms
from lottery.pruning.arms import ARMS, Arm, Origins
from lottery.pruning.tickets import Ticket
from lottery.report.page import write
from lottery.runs.store import Store
from lottery.settings import Settings

QUICK = {"embedding_size": 6, "epochs": 1}


class Bag(Model):
    """The mean of a text's word vectors, and a linear layer: fastText's shape."""

    label = "Bag of words"

    def __init__(self, settings: Settings, words: int, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, settings.embedding_size)
        self.output = nn.Linear(settings.embedding_size, outputs)

    def forward(self, batch: Batch, noise: torch.Generator | None = None) -> Tensor:
        words = batch.words[batch.index.long()]
        mean = functional.embedding_bag(words, self.embedding.weight, batch.offsets[:-1])
        return self.output(mean)


def signs(origins: Origins) -> Ticket:
    """The signs of the first values, all of one size (Zhou et al. 2019, section 4)."""
    size = {name: weight.std(correction=0) for name, weight in origins.first.items()}
    first = {name: weight.sign() * size[name] for name, weight in origins.first.items()}
    return Ticket(first, origins.mask)


@pytest.fixture
def added(monkeypatch):
    monkeypatch.setitem(models.MODELS, "bag", Bag)
    arm = Arm("signs", "only signs", signs, "places and signs alone", "lt", {"linestyle": ":"})
    monkeypatch.setitem(ARMS, "signs", arm)


def test_an_arm_and_a_model_from_outside_reach_the_report(added, tmp_path):
    store = Store(tmp_path / "demo")
    study = Study("demo-news", ["bag"], [0.5, 0.75], ["lt", "signs"], [0, 1], store=store, **QUICK)
    records = study.run()
    assert {record.settings.arm for record in records} == {"dense", "lt", "signs"}
    assert all(record.settings.model == "bag" and not record.failed for record in records)
    page = write(store).read_text(encoding="utf-8")
    assert "| demo-news (generated) Bag of words" in page
    assert "*only signs*: places and signs alone." in page
    assert "less only signs" in page  # the ticket is compared with it
    table = pd.read_csv(store.root / "demo-news.csv")
    assert set(table["label"]) >= {"only signs"} and set(table["model"]) == {"bag"}
    assert [path.name for path in (store.root / "figures").glob("demo-news-*.png")]
    assert arms.label("signs") == "only signs"
