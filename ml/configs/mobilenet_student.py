"""A small network that imitates MobileNetV2: the control arm of the demo's experiment.

It is trained on the features of a MobileNetV2 only (`--teacher`), without captions or labels.
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
"""Finishes in seconds, to check that a run works."""
