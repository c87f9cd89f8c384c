"""`nitamono ml`; each command is a file of ml/commands."""

import click

from console.group import Group, Lazy

COMMANDS = {
    "artifact": Lazy("ml.commands.artifact:artifact", "Look at encoder artifacts and complete them."),
    "bench": Lazy("ml.commands.bench:bench", "Measure the backends on this machine."),
    "embed": Lazy("ml.commands.embed:embed", "Embed photos into a .npy file."),
    "evaluate": Lazy("ml.commands.evaluate:evaluate", "Compare encoders by exact search."),
    "export": Lazy("ml.commands.export:export", "Export a training run to an artifact."),
    "finetune": Lazy("ml.commands.finetune:finetune", "Train and export an encoder."),
    "fit-pca": Lazy("ml.commands.fit_pca:fit_pca", "Fit PCA to shards of embeddings."),
    "import": Lazy(
        "ml.commands.import_artifact:import_artifact",
        "Create an artifact from a SigLIP or MobileNetV2 model of Hugging Face.",
    ),
    "pairs": Lazy("ml.commands.pairs:pairs", "Turn listing events into training pairs."),
    "quantise": Lazy("ml.commands.quantise:quantise", "Add int8 graphs to an artifact."),
}


@click.group(name="ml", cls=Group, lazy=COMMANDS)
def group() -> None:
    """Train, compress, export, run and compare encoders."""
