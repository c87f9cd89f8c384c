"""EfficientNet-Lite 0 as it comes, with PCA alone: the control arm of the demo's experiment."""

from dataclasses import replace

from ml.configs import siglip_lite
from ml.models.tower_specs import TowerConfig
from ml.training.config import FinetuneConfig


def without_training(config: FinetuneConfig, tower: TowerConfig, name: str) -> FinetuneConfig:
    """The configuration without training and without a head."""
    return replace(
        config,
        name=name,
        tower=replace(tower, texture=0.0, head_share=0.0, hidden=1, head_width=1),
        epochs=0,
        sigmoid_weight=0.0,
        prototype_weight=0.0,
        feature_weight=0.0,
    )


CONFIG = without_training(siglip_lite.CONFIG, siglip_lite.TOWER, "efficientnet-lite0")

SMOKE = without_training(siglip_lite.SMOKE, siglip_lite.SMOKE_TOWER, "efficientnet-smoke")
"""Finishes in seconds, to check that a run works."""
