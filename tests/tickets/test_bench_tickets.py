"""The benchmark of tickets: every figure is there, and the report reads it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

from lottery import Study, data
from lottery.files import UserError, root
from lottery.report import speed
from lottery.runs.store import Store
from lottery.tickets.export import export, find

QUICK = {"embedding_size": 12, "filters": 6, "hidden": 9, "epochs": 1}


@pytest.fixture(scope="module")
def bench():
    """The script by its own name, as the process of its own that it starts imports it."""
    folder = str(root() / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("tickets")
    finally:
        sys.path.remove(folder)
        del sys.modules["tickets"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("speed") / "demo")
    study = Study(
        "demo-news", ["cnn", "lstm"], [0.875], ["lt"], store=store, say=lambda _: None, **QUICK
    )
    records = study.run()
    folders = []
    for model in ("cnn", "lstm"):
        folders.append(store.root.parent / model)
        record = find(records, model, "lt", 0.875, 0)
        export(store, record, folders[-1], say=lambda _: None)
    return store, records, folders


def test_every_figure_is_measured_and_read(bench, made, monkeypatch):
    store, records, folders = made
    monkeypatch.setattr(bench, "TEXTS", 300)
    monkeypatch.setattr(bench, "peak", lambda *_: 1.0)
    bench.run(folders, store.root / "speed.json", rounds=2, say=lambda _: None)
    found = speed.read(store)
    assert [(row.model, row.way) for row in found.rows] == [
        (model, way) for model in ("cnn", "lstm") for way in speed.WAYS
    ]
    runs = {r.run: r for r in records}
    for row in found.rows:
        assert min(row.bytes, row.ms_1, row.ms_64, row.texts_a_second) > 0
        assert runs[row.run].settings.arm == ("lt" if row.way == "ticket" else "dense")
    for dense, ticket in ((found.rows[1], found.rows[2]), (found.rows[4], found.rows[5])):
        assert ticket.bytes < dense.bytes / 4
    assert len(speed.table(found, records)) == 6


def test_every_way_answers_alike_and_the_dense_one_has_no_holes(bench, made):
    _, _, folders = made
    corpus = data.load("demo-news", say=lambda _: None)
    some = corpus.test.take(range(5))
    for folder in folders:
        ticket = bench.Ticket.load(folder)
        with torch.no_grad():
            torch_, dense = (bench.network(ticket, way)(some) for way in ("torch", "dense"))
            (ours,) = bench.network(ticket, "ticket")(some)
        torch.testing.assert_close(torch_, dense[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(ours, ticket.logits(some))
        assert not torch.allclose(ours, dense[0])


@pytest.mark.process
def test_the_peak_is_that_of_a_process(bench, made):
    _, _, folders = made
    some = data.load("demo-news", say=lambda _: None).test.take(range(5))
    taken = bench.peak(folders[0], "ticket", some)
    assert taken is None or taken > 50


def test_another_corpus_is_refused(bench, made, monkeypatch, tmp_path):
    _, _, folders = made
    monkeypatch.setattr(bench, "is_own", lambda *_: False)
    with pytest.raises(UserError, match="was trained on another demo-news"):
        bench.run(folders, Path(tmp_path) / "speed.json", say=lambda _: None)
