"""Optimizer groups and averaged weights."""

import pytest
import torch

from ml.configs.siglip_small import SMOKE
from ml.models.two_towers import Siglip
from ml.training.learner import parameter_groups, update_average


def test_the_average_moves_a_step_towards_the_model() -> None:
    """At decay 0.75 by a quarter of the difference."""
    average, model = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.constant_(average.weight, 0.0)
    torch.nn.init.constant_(model.weight, 4.0)
    update_average(average, model, 0.75)
    assert average.weight.item() == pytest.approx(1.0)


def test_only_matrices_decay() -> None:
    """Scale, bias, norms and biases have no weight decay."""
    decayed, free = parameter_groups(Siglip(SMOKE.tower), 0.1)
    assert decayed["weight_decay"] == 0.1
    assert all(value.ndim > 1 for value in decayed["params"])  # type: ignore[attr-defined]  a list of tensors
    assert any(value.ndim == 0 for value in free["params"])  # type: ignore[attr-defined]
