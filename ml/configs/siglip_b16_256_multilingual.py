"""The paper's encoder: a multilingual SigLIP B/16 at 256 px, five epochs of the marketplace's own pairs.

Needs a GPU; on a CPU it takes weeks. Without access to Hugging Face, name a local copy with --base.
"""

from dataclasses import replace

from ml.models.tower_specs import HuggingFaceTower
from ml.training.config import FinetuneConfig

SOURCE = "google/siglip-base-patch16-256-multilingual"

CONFIG = FinetuneConfig(
    name="siglip-b16-256-multilingual",
    base_model=SOURCE,
    tower=HuggingFaceTower(SOURCE, image_size=256, width=768),
    epochs=5,
    batch=256,
    learning_rate=5e-5,
    weight_decay=0.01,
    crop=0.9,
    gradient_norm=1.0,
)

SMOKE = replace(
    CONFIG,
    name="siglip-b16-smoke",
    base_model="none: random weights",
    tower=HuggingFaceTower("", image_size=32, width=16),
    epochs=2,
    batch=16,
    learning_rate=1e-3,
    dims=8,
)
"""Finishes in seconds, to check that a run works."""
