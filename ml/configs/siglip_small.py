"""The committed encoder: trains from scratch on one CPU thread in under two hours."""

from dataclasses import replace

from ml.models.tower_specs import TowerConfig
from ml.training.config import FinetuneConfig

CONFIG = FinetuneConfig(
    name="siglip-small",
    tower=TowerConfig(image_size=96, channels=(32, 64, 160, 288), text_width=112),
    batch=96,
    repeats=2,
    photo_size=128,
    small_size=80,
    small_share=0.6,
    crop=0.5,
    sigmoid_weight=0.5,
    feature_weight=4.0,
    feature_weight_end=0.0,
)

SMOKE = replace(
    CONFIG,
    name="siglip-smoke",
    tower=TowerConfig(image_size=32, channels=(8, 8, 16, 16), width=16, vocabulary=200, text_width=16),
    epochs=2,
    batch=8,
    learning_rate=3e-3,
    photo_size=40,
    small_size=32,
    dims=8,
)
"""Finishes in seconds, to check that a run works."""
