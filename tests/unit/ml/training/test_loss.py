"""The sigmoid loss, by hand-computed values."""

import math

import pytest
import torch

from ml.training.loss import sigmoid_loss

ONE, ZERO = torch.tensor(1.0), torch.tensor(0.0)


def test_sigmoid_loss_by_hand() -> None:
    """Two crossed pairs at scale 1: per photo, log(1 + e^-1) for its own caption and log 2 for the other."""
    unit = torch.eye(2)
    expected = math.log(1 + math.exp(-1)) + math.log(2)
    assert sigmoid_loss(unit, unit, torch.eye(2).bool(), ONE, ZERO).item() == pytest.approx(expected)


def test_every_matching_caption_is_a_positive() -> None:
    """Two photos that both texts match: all four pairings are positives."""
    same = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    expected = 2 * math.log(1 + math.exp(-1))
    assert sigmoid_loss(same, same, torch.ones(2, 2).bool(), ONE, ZERO).item() == pytest.approx(expected)
    assert sigmoid_loss(same, same, torch.eye(2).bool(), ONE, ZERO).item() > expected
