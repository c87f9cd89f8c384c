"""The image and text towers."""

import torch

from ml.models.tower_specs import TowerConfig
from ml.models.two_towers import TextTower


def test_padding_does_not_change_a_text() -> None:
    """The text tower ignores padding."""
    tower = TextTower(TowerConfig(tokens=6, vocabulary=20, text_width=8, width=8)).eval()
    with torch.no_grad():
        tower.tokens.weight[0] = 100.0
        short = tower(torch.tensor([[3, 4, 0, 0, 0, 0]]))
        tower.tokens.weight[0] = -7.0
        assert torch.allclose(short, tower(torch.tensor([[3, 4, 0, 0, 0, 0]])), atol=1e-6)
