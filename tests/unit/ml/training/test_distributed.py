"""Several processes have the gradients of one with the global batch. Tests start two or three processes."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

from ml.configs.siglip_lite import SMOKE
from ml.models.two_towers import Siglip
from ml.training.batches import Batch
from ml.training.distributed import Processes, broadcast_first, mean_over_processes, started_processes
from ml.training.learner import Learner
from ml.training.loss import matches
from ml.training.prototypes import LabelClasses

PHOTOS: Final = 12
CLASSES: Final = 4


def make_learner(processes: Processes) -> Learner:
    """A learner with captions and labels, in double precision to exclude rounding."""
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(3)
        learner = Learner(replace(SMOKE, batch=PHOTOS), Siglip(SMOKE.tower), make_classes(), processes)
        torch.nn.init.normal_(learner.model.image.head.mlp[1].weight)  # away from the start
        return learner
    finally:
        torch.set_default_dtype(torch.float32)


def make_classes() -> LabelClasses:
    """The classes of twelve photos from two sources, at three levels."""
    random = torch.Generator().manual_seed(4)
    sources = torch.arange(PHOTOS) % 2
    numbers = torch.randint(0, CLASSES // 2, (PHOTOS, 3), generator=random) * 2 + sources[:, None]
    return LabelClasses(numbers, sources, (torch.arange(CLASSES) % 2,) * 3)


def make_batch(processes: Processes) -> Batch:
    """A process's share of twelve noisy photos; some captions match several, also across processes."""
    random = torch.Generator().manual_seed(5)
    views = torch.randn(PHOTOS, 3, 32, 32, generator=random, dtype=torch.float64)
    token_ids = torch.randint(1, 200, (PHOTOS, SMOKE.tower.tokens), generator=random)
    numbers = torch.randint(0, 6, (PHOTOS,), generator=random)
    others = torch.randint(-1, 4, (PHOTOS, 1), generator=random)
    classes = make_classes()
    parts = (
        views,
        token_ids,
        torch.cat([numbers[:, None], others], dim=1),
        numbers,
        classes.numbers,
        classes.sources,
    )
    return Batch(*map(processes.share, parts))


def measure(rank: int, count: int, folder: Path) -> None:
    """Save this process's mean losses and gradients in folder/RANK.pt."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=count)
    processes = Processes(rank, count)
    learner = make_learner(processes)
    losses = mean_over_processes(learner.differentiate(make_batch(processes)))
    gradients = {name: value.grad for name, value in learner.objective.named_parameters()}
    torch.save((losses, gradients, broadcast_first(float(rank))), folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the results of two and of three processes on the same global batch."""
    folder = tmp_path_factory.mktemp("processes")
    for count in (2, 3):
        part = folder / str(count)
        part.mkdir()
        spawn(measure, (count, part), nprocs=count)  # type: ignore[no-untyped-call]
    return folder


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.soak)])
def test_processes_equal_one_on_the_same_global_batch(measured: Path, count: int) -> None:
    """Losses and every gradient agree, in every process."""
    learner = make_learner(Processes())
    expected = learner.differentiate(make_batch(Processes()))
    alone = learner.objective
    for rank in range(count):
        losses, gradients, first = torch.load(measured / str(count) / f"{rank}.pt")
        assert first == 0
        torch.testing.assert_close(losses, expected, atol=0, rtol=1e-9)
        for name, value in alone.named_parameters():
            if not value.requires_grad:
                continue
            assert value.grad is not None
            assert value.grad.abs().max() > 0, name
            torch.testing.assert_close(gradients[name], value.grad, atol=1e-9, rtol=1e-7)


def test_losses_of_separate_halves_differ() -> None:
    """Without the pairings across processes the losses are different, so the test above can fail."""
    learner, batch = make_learner(Processes()), make_batch(Processes())
    whole = learner.differentiate(batch)
    halves = [learner.differentiate(half) for half in batch.split(2)]
    assert (torch.stack(halves).mean(dim=0) - whole)[0].abs() > 1e-3


def test_photos_share_captions_across_the_batch() -> None:
    """A caption is a positive for every photo that has it; −1 matches nothing."""
    options = torch.tensor([[0, 2], [1, 2], [3, -1]])
    found = matches(options, torch.tensor([0, 2, 3]))
    assert found.tolist() == [[True, True, False], [False, True, False], [False, False, True]]


def test_without_a_launcher_there_is_one_process() -> None:
    """It has the whole batch."""
    with started_processes({}, device="cpu") as processes:
        assert processes == Processes(0, 1, "cpu")
        assert processes.share(torch.arange(5)).tolist() == [0, 1, 2, 3, 4]
        assert not distributed.is_initialized()
