"""The front door: what a study gives, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.children import study
from lottery.experiment import run as one
from lottery.files import UserError
from lottery.runs.store import Store
from lottery.settings import settable
from lottery.study import Study


def test_a_study_that_is_trained_elsewhere_gives_tested_networks_too(tmp_path):
    made = study(tmp_path, arms=("lt",))
    settings = made.run()[-1].settings
    weights, _ = study(tmp_path, arms=("lt",), jobs=2).tested(settings)
    assert all(torch.equal(w, weights[name]) for name, w in made.tested(settings)[0].items())


@pytest.mark.parametrize("name", ["split_seed", "vocabulary_size"])
def test_runs_on_other_texts_are_not_given_these(tmp_path, name):
    made = study(tmp_path)
    settings = made.plan()[0]
    assert made.corpora(settings) is made.corpus
    with pytest.raises(
        UserError, match=f"its {name} is 7, .* make a Study with {name}=7"
    ) as caught:
        made.corpora(replace(settings, **{name: 7}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": [["cnn"]]}, r"unknown model \['cnn'\]: there are cnn, lstm"),
        ({"at": [0.5, None]}, "sparsity None is not on the ladder"),
        ({"at": ["half"]}, "sparsity 'half' is not on the ladder"),
    ],
)
def test_mistakes_in_lists_are_one_line(tmp_path, change, says):
    with pytest.raises(UserError, match=says):
        study(tmp_path, **change)


def test_a_frame_is_told_how_its_columns_are_named():
    frame = pd.DataFrame({"body": ["good", "bad"], "stars": [1, 0]})
    named = r"data.from_frame\(frame, text=..., label=..., name=...\)"
    with pytest.raises(UserError, match=f"^a DataFrame needs its columns named: give {named}$"):
        Study(frame, ["cnn"])
    with pytest.raises(
        UserError, match=r"^unknown dataset array\(\[\[0., 0.\],  .*: there are imdb"
    ):
        Study(np.zeros((2, 2)))


def test_a_results_folder_may_be_a_path_or_its_name(tmp_path):
    for folder in (tmp_path, str(tmp_path)):
        made = Study("demo-reviews", ["cnn"], store=folder)
        assert made.store == Store(tmp_path)
    with pytest.raises(
        UserError, match=r"^store 3 is no folder: give its path as a str or a Path$"
    ):
        Study("demo-reviews", ["cnn"], store=3)


def test_weights_that_another_process_makes_again_are_not_waited_for(tmp_path):
    made = study(tmp_path, arms=("lt",))
    made.run()
    ticket = made.plan()[1]
    for path in (made.store.weights_path(ticket), made.store.tested_path(ticket)):
        path.unlink()
    with made.shelf.hold(ticket), pytest.raises(UserError, match="another process is at it"):
        study(tmp_path, arms=("lt",)).tested(ticket)


def test_a_network_that_no_memory_holds_is_one_line(tmp_path, monkeypatch):
    said = "DefaultCPUAllocator: not enough memory: you tried to allocate"

    def build(*_):
        raise RuntimeError(said)

    made = study(tmp_path, arms=())
    monkeypatch.setattr(one.models, "build", build)
    with pytest.raises(UserError, match="cnn dense seed 0: a network of these sizes does not fit"):
        made.run()
    said = "more than one element of the written-to tensor refers to a single memory location"
    with pytest.raises(RuntimeError, match="single memory location"):
        made.run()


def test_a_setting_that_no_run_has_is_said(tmp_path):
    said: list[str] = []
    study(tmp_path, hidden=7, embedding_size=9, say=said.append)
    assert said == ["hidden is of lstm: without effect here"]
    said.clear()
    study(tmp_path, models=("cnn", "lstm"), hidden=7, say=said.append)
    assert not said, "one of its models has it"
    study(tmp_path, **{f.name: f.default for f in settable()}, say=said.append)
    assert not said, "nothing is changed, as by an export, which gives every setting"
