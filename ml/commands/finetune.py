"""`nitamono ml finetune`."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.number_types import Number
from ml.commands.export import export_run
from ml.commands.options import data_option, folder, photos, read, threads_option
from ml.errors import MlError
from ml.models.tower_specs import HuggingFaceTower
from ml.training.config import FinetuneConfig, InvalidConfig

if TYPE_CHECKING:
    from ml.data.corpus import Corpus
    from ml.training.distillation_targets import DistillationTargets
    from ml.training.distributed import Processes


@click.command()
@click.argument("config")
@data_option
@click.option(
    "--out",
    type=folder,
    show_default="runs/NAME, by the name in the configuration",
    help="Run folder; the artifact is written to OUT/artifact.",
)
@click.option("--teacher", type=folder, help="Local folder of a MobileNetV2 to use as teacher.")
@click.option(
    "--distill",
    is_flag=True,
    help="Distil from EfficientNet-Lite 0 and 2 with a head fitted on the labels. Excludes --teacher.",
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
    help="Duration of training, in minutes; replaces the configured number of epochs.",
)
@click.option(
    "--smoke",
    is_flag=True,
    help="Train the configuration's tiny version, to check in seconds that a run works.",
)
@threads_option
def finetune(*, config: str, data: Sequence[Path], out: Path | None, smoke: bool, **options: Any) -> None:
    """Train an encoder and export it.

    CONFIG is the name of a configuration in ml/configs, such as siglip_small, or a Python file that defines
    CONFIG. Under torchrun or Accelerate all processes share each batch, and the first one exports.
    """
    chosen = load_config(config, smoke=smoke)
    if options["base"] and not isinstance(chosen.tower, HuggingFaceTower):
        raise click.UsageError(f"--base needs a configuration with a HuggingFaceTower; {config} has none")
    if options["distill"] and options["teacher"]:
        raise click.UsageError("--distill and --teacher exclude each other; give one")
    train_and_export(chosen, data, out or Path("runs") / chosen.name, **options)


def train_and_export(
    config: FinetuneConfig,
    data: Sequence[Path],
    out: Path,
    *,
    distill: bool,
    teacher: Path | None,
    threads: int,
    **options: Any,
) -> None:
    """Train in `out` and export to `out`/artifact. options: other fields of RunOptions."""
    from ml.training.distributed import started_processes  # noqa: PLC0415  torch takes seconds to import
    from ml.training.finetune import RunOptions  # noqa: PLC0415
    from ml.training.finetune import finetune as train  # noqa: PLC0415

    size = config.tower.image_size
    corpus = read(data, config.photo_size or size, threads)
    with started_processes(os.environ) as processes:
        targets = None
        if distill or teacher:
            targets = cached_targets(corpus, config, teacher, out, threads=threads, processes=processes)
        train(config, corpus, out, RunOptions(targets, threads=threads, **options), processes)
    if processes.first:
        if corpus.size != size:
            corpus = read(data, size, threads)
        export_run(out, corpus, out / "artifact", threads)


def cached_targets(
    corpus: "Corpus",
    config: FinetuneConfig,
    teacher: Path | None,
    out: Path,
    *,
    threads: int,
    processes: "Processes",
) -> "DistillationTargets":
    """Load the distillation targets of the run folder; the first process computes them if necessary."""
    from ml.training.distillation_targets import has_targets, load_targets, save_targets  # noqa: PLC0415
    from ml.training.distributed import wait_for_all  # noqa: PLC0415  torch takes seconds to import
    from ml.training.run_folder import DISTILLATION_TARGETS  # noqa: PLC0415

    path = out / DISTILLATION_TARGETS
    source = f"{teacher or 'labels'}{' vectors' if config.distill_projected_features else ''}"
    computed_for = f"{corpus.fingerprint} {config.tower.width} {source}"
    if processes.first and not has_targets(path, computed_for):
        save_targets(compute_targets(corpus, config, teacher, threads), computed_for, path)
    wait_for_all()
    return load_targets(path)


def compute_targets(
    corpus: "Corpus", config: FinetuneConfig, teacher: Path | None, threads: int
) -> "DistillationTargets":
    """Compute targets with the MobileNetV2 in `teacher`, or else EfficientNet-Lite and a head on labels."""
    if teacher is None:
        from ml.training.teacher import teacher_targets  # noqa: PLC0415  torch takes seconds to import

        return teacher_targets(corpus, config.tower.width, threads=threads)
    from ml.models.reference_encoders import mobilenet_features  # noqa: PLC0415
    from ml.pca.projection import fit_projection  # noqa: PLC0415
    from ml.training.distillation_targets import DistillationTargets, center_features  # noqa: PLC0415

    train = corpus.rows("train")
    features = center_features(mobilenet_features(teacher, photos(corpus), threads=threads), train)
    if not config.distill_projected_features:
        return DistillationTargets(features)
    return DistillationTargets(features, fit_projection(features[train], config.tower.width).apply(features))


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
