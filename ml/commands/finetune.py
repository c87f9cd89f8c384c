"""`nitamono ml finetune`."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.number_types import Number
from ml.commands.export import export_run
from ml.commands.options import data_option, folder, photos, read, threads_option
from ml.errors import MlError
from ml.models.tower_specs import HuggingFaceTower
from ml.training.config import FinetuneConfig, UnfitConfig

if TYPE_CHECKING:
    from ml.data.pairs import Corpus
    from ml.training.distillation_targets import Lesson
    from ml.training.distributed import Processes


@click.command()
@click.argument("config")
@data_option
@click.option(
    "--out",
    type=folder,
    show_default="runs/ and the configuration's name",
    help="Folder of the run; its artifact goes to OUT/artifact.",
)
@click.option("--teacher", type=folder, help="Local folder of a MobileNetV2 whose features to learn from.")
@click.option(
    "--lesson",
    is_flag=True,
    help="Learn from EfficientNet-Lite 0 and 2 and a head fitted on the labels, instead of --teacher.",
)
@click.option(
    "--start",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A run of the same towers to go on from, instead of from scratch.",
)
@click.option("--base", help="Hub id or local folder of a SigLIP, in place of the configuration's.")
@click.option("--resume", is_flag=True, help="Go on with the run in OUT, where it was interrupted.")
@click.option("--minutes", type=Number(min=0, min_open=True), help="End then, whatever the epochs.")
@click.option("--smoke", is_flag=True, help="The configuration's tiny version, to see whether a run works.")
@threads_option
def finetune(
    *,
    config: str,
    data: Sequence[Path],
    out: Path | None,
    teacher: Path | None,
    lesson: bool,
    start: Path | None,
    base: str | None,
    resume: bool,
    minutes: float | None,
    smoke: bool,
    threads: int,
) -> None:
    """Train and export an encoder. CONFIG is a name (siglip_small) or a Python file that defines CONFIG.

    Under torchrun or Accelerate all processes share each batch; the first one exports.
    """
    chosen = load_config(config, smoke=smoke)
    if base and not isinstance(chosen.tower, HuggingFaceTower):
        raise click.UsageError(f"--base is for towers of the hub; {config} has its own")
    if lesson and teacher:
        raise click.UsageError("--lesson and --teacher exclude each other; give one")
    out = out or Path("runs") / chosen.name
    from ml.training.distributed import started_processes  # noqa: PLC0415
    from ml.training.finetune import finetune as train  # noqa: PLC0415
    from ml.training.run_folder import LESSON  # noqa: PLC0415

    size = chosen.tower.image_size
    corpus = read(data, chosen.photo_size or size, threads)
    with started_processes(os.environ) as processes:
        given = None
        if lesson or teacher:
            given = kept_lesson(corpus, chosen, teacher, out / LESSON, threads=threads, processes=processes)
        train(
            chosen,
            corpus,
            out,
            lesson=given,
            start=start,
            base=base,
            threads=threads,
            minutes=minutes,
            resume=resume,
            processes=processes,
        )
    if processes.first:
        if corpus.size != size:
            corpus = read(data, size, threads)
        export_run(out, corpus, out / "artifact", threads)


def kept_lesson(
    corpus: "Corpus",
    config: FinetuneConfig,
    teacher: Path | None,
    path: Path,
    *,
    threads: int,
    processes: "Processes",
) -> "Lesson":
    """The lesson that the first process made, now or before the run was interrupted."""
    from ml.training.distillation_targets import has_lesson, load_lesson, save_lesson  # noqa: PLC0415
    from ml.training.distributed import wait_for_all  # noqa: PLC0415  torch only where it is needed

    of = f"{teacher or 'labels'}{' vectors' if config.taught_features else ''}"
    given_for = f"{corpus.fingerprint} {config.tower.width} {of}"
    if processes.first and not has_lesson(path, given_for):
        save_lesson(make_lesson(corpus, config, teacher, threads), given_for, path)
    wait_for_all()
    return load_lesson(path)


def make_lesson(corpus: "Corpus", config: FinetuneConfig, teacher: Path | None, threads: int) -> "Lesson":
    """Of a MobileNetV2 in `teacher`, or else of networks with a head fitted on the labels."""
    if teacher is None:
        from ml.training.teacher import lesson  # noqa: PLC0415

        return lesson(corpus, config.tower.width, threads=threads)
    from ml.models.reference_encoders import mobilenet_features  # noqa: PLC0415
    from ml.pca.projection import fit_projection  # noqa: PLC0415
    from ml.training.distillation_targets import Lesson, around_mean  # noqa: PLC0415

    train = corpus.rows("train")
    features = around_mean(mobilenet_features(teacher, photos(corpus), threads=threads), train)
    if not config.taught_features:
        return Lesson(features)
    return Lesson(features, fit_projection(features[train], config.tower.width).apply(features))


class UnknownConfig(MlError):
    """A configuration that is neither one of ours nor a file that defines one."""


def load_config(name: str, *, smoke: bool) -> FinetuneConfig:
    """The CONFIG, or SMOKE, of ml/configs/NAME.py or of a Python file.

    Raises:
        UnknownConfig: there is none.
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
    except (SyntaxError, ImportError, NameError, TypeError, UnfitConfig) as error:
        raise UnknownConfig(f"{path}: cannot be loaded ({error}); mend the file") from error
    config = getattr(module, wanted, None)
    if not isinstance(config, FinetuneConfig):
        raise UnknownConfig(f"{path}: {wanted} is {config!r}, expected an ml.training.config.FinetuneConfig")
    return config
