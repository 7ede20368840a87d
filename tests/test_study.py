"""The front door: what a study gives, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.children import study
from lottery.files import UserError


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
