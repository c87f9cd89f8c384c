"""The paper's encoder on one GPU of 80 GB or more: a batch of 4096, which has 16 times the negatives.

The learning rate grows with the square root of the batch (arXiv 2205.10287); lower layers, whose features are
more general, have lower rates. Not yet run at size: start with --smoke, then watch the memory.
"""

from dataclasses import replace

from ml.configs import siglip_b16_256_multilingual as paper

BATCH = 4096

CONFIG = replace(
    paper.CONFIG,
    name="siglip-b16-large-gpu",
    batch=BATCH,
    accumulate=4,
    learning_rate=2e-4,
    precision="bf16",
    checkpointing=True,
    layer_decay=0.9,
    patience=2,
    state_steps=100,
)

SMOKE = replace(
    CONFIG,
    name="siglip-large-smoke",
    base_model=paper.SMOKE.base_model,
    tower=paper.SMOKE.tower,
    epochs=2,
    batch=16,
    learning_rate=1e-3,
    dims=8,
)
"""Finishes in seconds, to check that a run works."""
