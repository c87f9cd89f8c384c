"""The image and text towers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml.configs.siglip_lite import SMOKE
from ml.models.tower_specs import TowerConfig
from ml.models.two_towers import ImageTower, TextTower, fit_mean, fit_norm_range

TINY = replace(SMOKE.tower, texture=0.2, head_share=0.4)


@pytest.fixture
def tower() -> ImageTower:
    """A tower with random weights, fitted to noise."""
    torch.manual_seed(1)
    tower = ImageTower(TINY).eval()
    for value in tower.network.parameters():
        torch.nn.init.normal_(value, std=0.3)
    fit_mean(tower, noise(1))
    fit_norm_range(tower, noise(2))
    return tower


COUNT = 60


def noise(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Pixels (COUNT, 32, 32, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)


def photos(seed: int = 3) -> torch.Tensor:
    """(COUNT, 3, 32, 32) float32 in −1 to 1."""
    return torch.from_numpy(noise(seed)).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_padding_does_not_change_a_text() -> None:
    """The text tower ignores padding."""
    tower = TextTower(TowerConfig("tiny", tokens=6, vocabulary=20, text_width=8, head_width=8)).eval()
    with torch.no_grad():
        tower.tokens.weight[0] = 100.0
        short = tower(torch.tensor([[3, 4, 0, 0, 0, 0]]))
        tower.tokens.weight[0] = -7.0
        assert torch.allclose(short, tower(torch.tensor([[3, 4, 0, 0, 0, 0]])), atol=1e-6)


@torch.no_grad()
def test_a_vector_is_features_beside_the_heads_output(tower: ImageTower) -> None:
    """In the configured shares of its squared norm, where the head is sure; the texture has its own."""
    vectors = tower(photos())
    assert vectors.shape == (COUNT, TINY.width)
    assert vectors.norm(dim=1) == pytest.approx(torch.ones(COUNT), abs=1e-5)
    learned = vectors[:, -TINY.head_width :].square().sum(dim=1)
    assert learned.max() == pytest.approx(0.4, abs=1e-5)
    directions = tower.directions(tower.features(tower.fixed(photos())))
    texture = directions[:, TINY.architecture.features :].square().sum(dim=1)
    assert texture == pytest.approx(torch.full((COUNT,), 0.2), abs=1e-5)


@torch.no_grad()
def test_the_head_counts_less_where_it_answers_weakly(tower: ImageTower) -> None:
    """Of known photos half count in full, and the weakest not at all."""
    vectors = tower(torch.from_numpy(noise(2)).permute(0, 3, 1, 2).float() / 127.5 - 1)
    share = vectors[:, -TINY.head_width :].square().sum(dim=1) / 0.4
    assert (share > 0.999).float().mean() == pytest.approx(0.5, abs=0.03)
    assert (share < 0.001).float().mean() == pytest.approx(0.05, abs=0.04)
    tower.head.mlp[-1].weight.mul_(0.01)
    tower.head.mlp[-1].bias.mul_(0.01)
    assert tower(photos())[:, -TINY.head_width :].abs().max() == 0


@torch.no_grad()
def test_few_photos_do_not_tell_where_the_head_is_sure(tower: ImageTower) -> None:
    """It then counts in full, and also where all of its norms are the same, as rounded in checkpoints."""
    tower.norm_range.copy_(torch.tensor([-1.0, 0.0]))
    fit_norm_range(tower, noise(2)[:20])
    shares = tower(photos())[:, -TINY.head_width :].square().sum(dim=1)
    assert shares == pytest.approx(torch.full((COUNT,), 0.4), abs=1e-5)
    tower.norm_range.fill_(7.0)
    assert tower(photos()).isfinite().all()


@torch.no_grad()
def test_directions_are_relative_to_the_mean(tower: ImageTower) -> None:
    """Over the photos that it was fitted to, the pooled maps' unit vectors less their mean cancel out."""
    fixed = tower.fixed(torch.from_numpy(noise(1)).permute(0, 3, 1, 2).float() / 127.5 - 1)
    centred = tower.unit_parts(tower.features(fixed)) - tower.mean
    assert centred.mean(dim=0).abs().max() < 1e-5


def test_fixed_blocks_are_not_trained(tower: ImageTower) -> None:
    """Nor the stem; all others are."""
    network = tower.network
    assert not any(value.requires_grad for value in network.stem.parameters())
    trained = [all(value.requires_grad for value in block.parameters()) for block in network.blocks]
    assert trained == [False] * 3 + [True] * 4
