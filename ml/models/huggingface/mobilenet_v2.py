"""MobileNetV2, an image tower without a text tower. Imports torch and transformers."""

from pathlib import Path
from typing import Final

from PIL import Image

from ml.models.huggingface.family import Family
from ml.models.huggingface.folder import check_channels, weights
from ml.models.huggingface.processing import COMMON, ImageProcessing, ProcessorDefaults
from ml.models.huggingface.towers import PooledImageTower, Towers


def read_mobilenet_v2(folder: Path, processing: ImageProcessing, text: bool) -> Towers:  # noqa: ARG001  a family's signature
    """Read the network of a MobileNetV2's folder.

    Raises:
        UnsupportedModel: the weights are missing, damaged or of another model.
    """
    from transformers import MobileNetV2Model  # noqa: PLC0415  heavy

    network = weights(MobileNetV2Model, folder)
    check_channels(network.config, folder)
    width = network.conv_1x1.convolution.out_channels
    return Towers(MOBILENET_V2.model_type, PooledImageTower(network, processing), width, processing)


MOBILENET_V2: Final = Family(
    "mobilenet_v2",
    ProcessorDefaults(
        "MobileNetV2",
        {
            **COMMON,
            "do_center_crop": True,
            "resample": Image.Resampling.BILINEAR,
            "size": {"shortest_edge": 256},
            "crop_size": {"height": 224, "width": 224},
        },
        size_is_shortest_edge=True,
    ),
    read_mobilenet_v2,
)
