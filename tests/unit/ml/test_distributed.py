"""Several processes do to the weights what one does with the whole batch. Each test starts two."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from ml.configs.siglip_small import SMOKE
from ml.distributed import Processes, mean_over_processes, started_processes
from ml.loss import chunked_sigmoid_loss, matches, sigmoid_loss
from ml.model import Siglip

PHOTOS = 12


class Loss(nn.Module):
    """The loss of a batch as one module, as DistributedDataParallel wants it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.model = Siglip(SMOKE.tower).double()

    def forward(self, views: Tensor, token_ids: Tensor, options: Tensor, numbers: Tensor) -> Tensor:
        images, texts = self.model.image(views), self.model.text(token_ids)
        scale, bias = self.model.log_scale.exp(), self.model.bias
        return chunked_sigmoid_loss(images, texts, options, numbers, scale, bias)


def make_batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Twelve noisy photos in double precision, where rounding hides nothing; some captions are
    true of several, also across processes."""
    random = torch.Generator().manual_seed(5)
    views = torch.randn(PHOTOS, 3, 32, 32, generator=random, dtype=torch.float64)
    token_ids = torch.randint(1, 200, (PHOTOS, SMOKE.tower.tokens), generator=random)
    numbers = torch.randint(0, 6, (PHOTOS,), generator=random)
    others = torch.randint(-1, 4, (PHOTOS, 1), generator=random)
    return views, token_ids, torch.cat([numbers[:, None], others], dim=1), numbers


def measure(rank: int, count: int, folder: Path) -> None:
    """Leave this process's mean loss, gradients and batch statistics in folder/RANK.pt."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=count)
    module = Loss()
    batch = [Processes(rank, count).share(part) for part in make_batch()]
    parallel = DistributedDataParallel(module)
    loss = parallel(*batch)
    loss.backward()
    gradients = {name: value.grad for name, value in module.named_parameters()}
    torch.save((mean_over_processes(loss), gradients, dict(module.named_buffers())), folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes and, in a folder beside, three measured on the same global batch."""
    folder = tmp_path_factory.mktemp("processes")
    for count in (2, 3):
        part = folder / str(count)
        part.mkdir()
        spawn(measure, (count, part), nprocs=count)  # type: ignore[no-untyped-call]
    return folder


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.soak)])
def test_processes_equal_one_on_the_same_global_batch(measured: Path, count: int) -> None:
    """Loss, every gradient and every batch statistic agree, in every process."""
    alone = Loss()
    expected = alone(*make_batch())
    expected.backward()
    for rank in range(count):
        loss, gradients, buffers = torch.load(measured / str(count) / f"{rank}.pt")
        assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
        for name, value in alone.named_parameters():
            assert value.grad is not None
            assert value.grad.abs().max() > 0, name
            torch.testing.assert_close(gradients[name], value.grad, atol=1e-9, rtol=1e-7)
        for name, statistic in alone.named_buffers():
            torch.testing.assert_close(buffers[name], statistic, atol=1e-9, rtol=1e-7)


def test_the_halves_alone_would_differ() -> None:
    """A loss within each process, without its neighbours' texts, is another one: the test above can fail."""
    module = Loss()
    views, token_ids, options, numbers = make_batch()
    images, texts = module.model.image(views), module.model.text(token_ids)
    scale, bias = module.model.log_scale.exp(), module.model.bias
    halves = [
        chunked_sigmoid_loss(images[part], texts[part], options[part], numbers[part], scale, bias)
        for part in (slice(0, 6), slice(6, 12))
    ]
    whole = sigmoid_loss(images, texts, matches(options, numbers), scale, bias)
    assert abs(torch.stack(halves).mean().item() - whole.item()) > 1e-3


def test_photos_share_captions_across_the_batch() -> None:
    """A caption is a positive of every photo that has it; −1 matches nothing."""
    options = torch.tensor([[0, 2], [1, 2], [3, -1]])
    found = matches(options, torch.tensor([0, 2, 3]))
    assert found.tolist() == [[True, True, False], [False, True, False], [False, False, True]]


def test_without_a_launcher_there_is_one_process() -> None:
    """Nothing is started, and the one process has the whole batch."""
    with started_processes({}, device="cpu") as processes:
        assert processes == Processes(0, 1, "cpu")
        assert processes.share(torch.arange(5)).tolist() == [0, 1, 2, 3, 4]
        assert not distributed.is_initialized()
