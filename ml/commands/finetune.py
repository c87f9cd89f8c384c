"""`nitamono ml finetune`."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from console.number_types import Number
from ml.artifact import Preprocessing
from ml.commands.export import export_run
from ml.commands.options import data_option, folder, read, threads_option
from ml.errors import MlError
from ml.models.tower_specs import HuggingFaceTower
from ml.training.config import FinetuneConfig, InvalidConfig


@click.command()
@click.argument("config")
@data_option
@click.option(
    "--out",
    type=folder,
    show_default="runs/NAME, by the name in the configuration",
    help="Run folder; the artifact is written to OUT/artifact.",
)
@click.option(
    "--start",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Start from the weights of another run with the same towers.",
)
@click.option("--base", help="Hugging Face id or local folder of a SigLIP; replaces the configured source.")
@click.option("--resume", is_flag=True, help="Resume the interrupted run in OUT.")
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    help="Duration of training, in minutes; replaces the configured number of epochs. The export, which "
    "follows, takes some minutes more.",
)
@click.option(
    "--smoke",
    is_flag=True,
    help="Train the configuration's tiny version, to check in seconds that a run works.",
)
@threads_option
def finetune(*, config: str, data: Sequence[Path], out: Path | None, smoke: bool, **options: Any) -> None:
    """Train an encoder and export it.

    CONFIG is the name of a configuration in ml/configs, such as siglip_lite, or a Python file that defines
    CONFIG. Under torchrun or Accelerate all processes share each batch, and the first one exports.
    """
    chosen = load_config(config, smoke=smoke)
    if options["base"] and not isinstance(chosen.tower, HuggingFaceTower):
        raise click.UsageError(f"--base needs a configuration with a HuggingFaceTower; {config} has none")
    train_and_export(chosen, data, out or Path("runs") / chosen.name, **options)


def train_and_export(
    config: FinetuneConfig,
    data: Sequence[Path],
    out: Path,
    *,
    threads: int,
    **options: Any,
) -> None:
    """Train in `out` and export to `out`/artifact. options: other fields of RunOptions."""
    from ml.training.distributed import started_processes  # noqa: PLC0415  torch takes seconds to import
    from ml.training.finetune import RunOptions  # noqa: PLC0415
    from ml.training.finetune import finetune as train  # noqa: PLC0415

    served, stored = config.preprocessing, stored_preprocessing(config)
    corpus = read(data, stored, threads)
    with started_processes(os.environ) as processes:
        train(config, corpus, out, RunOptions(threads=threads, **options), processes)
    if processes.first:
        if stored != served:
            corpus = read(data, served, threads)
        export_run(out, corpus, out / "artifact", threads)


def stored_preprocessing(config: FinetuneConfig) -> Preprocessing:
    """The conversion of photos that training crops at random; the finished encoder sees their centres."""
    whole = None if config.tower.crop is None else 1.0
    return Preprocessing(image_size=config.photo_size or config.tower.image_size, crop=whole)


class UnknownConfig(MlError):
    """A name that is neither a configuration in ml/configs nor a Python file that defines one."""


def load_config(name: str, *, smoke: bool) -> FinetuneConfig:
    """Load CONFIG, or SMOKE, from ml/configs/NAME.py or from a Python file.

    Raises:
        UnknownConfig: no such file, or it defines no FinetuneConfig.
    """
    wanted = "SMOKE" if smoke else "CONFIG"
    path = Path(name) if name.endswith(".py") else Path(__file__).parents[1] / "configs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("[a-z]*.py")))
        raise UnknownConfig(f"{path}: no such configuration; expected a Python file or one of: {known}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError, TypeError, InvalidConfig) as error:
        raise UnknownConfig(f"{path}: cannot be loaded ({error}); fix the file") from error
    config = getattr(module, wanted, None)
    if not isinstance(config, FinetuneConfig):
        raise UnknownConfig(f"{path}: {wanted} is {config!r}, expected an ml.training.config.FinetuneConfig")
    return config
