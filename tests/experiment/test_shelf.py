"""What a run may stand on."""

from __future__ import annotations

import pytest
import torch

from helpers.children import study
from lottery.experiment.shelf import Gone


def test_weights_without_a_record_are_not_stood_on(tmp_path):
    """As a kill between the two leaves them, or a record that was moved away."""
    made = study(tmp_path, arms=())
    made.run()
    dense = made.settings("cnn", "dense", 0, 0)
    made.store.record_path(dense).unlink()
    assert made.store.weights_path(dense).exists()
    with pytest.raises(Gone):
        made.shelf.trained(dense, "last")


def test_theta_k_of_another_step_is_set_aside(tmp_path):
    made = study(tmp_path, rewind_step=2)
    dense, shelf = made.settings("cnn", "dense", 0, 0), made.shelf
    shelf.keep_rewound(dense, 2, {"output.bias": torch.zeros(1)})
    shelf.store.rewound_path(dense, 2).replace(shelf.store.rewound_path(dense, 3))

    def again(run, step):
        shelf.keep_rewound(run, step, {"output.bias": torch.ones(1)})

    with shelf.mended(again):
        assert shelf.rewound(dense, 3)["output.bias"] == 1
