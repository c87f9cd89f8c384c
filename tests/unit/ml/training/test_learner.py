"""Optimizer groups and averaged weights."""

from dataclasses import replace

import pytest
import torch

from ml.configs.siglip_lite import SMOKE
from ml.models.two_towers import Siglip
from ml.training.learner import fast_bf16, parameter_groups, update_average


def test_the_average_moves_a_step_towards_the_model() -> None:
    """At decay 0.75 by a quarter of the difference."""
    average, model = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.constant_(average.weight, 0.0)
    torch.nn.init.constant_(model.weight, 4.0)
    update_average(average, model, 0.75)
    assert average.weight.item() == pytest.approx(1.0)


def test_only_matrices_decay() -> None:
    """Scale, bias, norms and biases have no weight decay."""
    decayed, free = parameter_groups(Siglip(SMOKE.tower), replace(SMOKE, weight_decay=0.1))
    assert decayed["weight_decay"] == 0.1
    assert all(value.ndim > 1 for value in decayed["params"])  # type: ignore[attr-defined]  a list of tensors
    assert any(value.ndim == 0 for value in free["params"])  # type: ignore[attr-defined]


def test_the_network_learns_more_slowly_than_its_head() -> None:
    """It was trained before. Layers that are fixed are in no group."""
    model = Siglip(SMOKE.tower)
    groups = parameter_groups(model, replace(SMOKE, network_rate=0.25))
    shares = {id(value): group["share"] for group in groups for value in group["params"]}  # type: ignore[attr-defined]
    assert {shares.get(id(value)) for value in model.image.network.stem.parameters()} == {None}
    assert {shares.get(id(value)) for value in model.image.network.last.parameters()} == {0.25}
    assert {shares.get(id(value)) for value in model.image.head.parameters()} == {1.0}


def test_layer_decay_counts_the_blocks_below_the_head() -> None:
    """The head and the last convolution learn at the full rate, each block at half of that above."""
    model = Siglip(SMOKE.tower)
    groups = parameter_groups(model, replace(SMOKE, layer_decay=0.5, network_rate=1.0))
    shares = {id(value): group["share"] for group in groups for value in group["params"]}  # type: ignore[attr-defined]
    parts = (model.image.head, model.image.network.last, *reversed(model.image.network.blocks[3:]))
    found = [{shares[id(value)] for value in part.parameters()} for part in parts]
    assert found == [{1.0}, {1.0}, {0.5}, {0.25}, {0.125}, {0.0625}]


def test_fixed_layers_compute_in_bf16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By AVX-512 or AMX; not on another device, nor where torch cannot tell."""
    for name, there in (("_is_avx512_bf16_supported", False), ("_is_amx_tile_supported", True)):
        monkeypatch.setattr(torch.cpu, name, lambda there=there: there, raising=False)
    assert fast_bf16("cpu")
    assert not fast_bf16("cuda")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert not fast_bf16("cpu")
