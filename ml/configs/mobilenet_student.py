"""A small network that sees as MobileNetV2 does: the weaker arm of the demo's experiment.

It learns from a MobileNetV2's features alone (`--teacher`), from no caption and no label.
"""

from dataclasses import replace

from ml.configs import siglip_small
from ml.models.tower_specs import TowerConfig

CONFIG = replace(
    siglip_small.CONFIG,
    name="mobilenet-student",
    tower=TowerConfig(image_size=96, channels=(16, 32, 64, 112), width=128, text_width=16),
    repeats=1,
    sigmoid_weight=0.0,
    distill_projected_features=True,
)

SMOKE = replace(
    siglip_small.SMOKE, name="mobilenet-student-smoke", sigmoid_weight=0.0, distill_projected_features=True
)
"""Finishes in seconds; only good for finding out whether a run works."""
