"""`nitamono ml`; each command is a file of ml/commands."""

import click

from console.group import Group, Lazy

COMMANDS = {
    "artifact": Lazy("ml.commands.artifact:artifact", "Show, verify and complete encoder artifacts."),
    "bench": Lazy("ml.commands.bench:bench", "Measure encoding speed on this machine."),
    "check": Lazy("ml.commands.check:check", "Check whether an encoder fits your listings."),
    "embed": Lazy("ml.commands.embed:embed", "Embed photos and write the vectors to a .npy file."),
    "evaluate": Lazy("ml.commands.evaluate:evaluate", "Compare encoders by exact search."),
    "export": Lazy("ml.commands.export:export", "Export a training run as an artifact."),
    "finetune": Lazy("ml.commands.finetune:finetune", "Train an encoder and export it."),
    "fit-pca": Lazy("ml.commands.fit_pca:fit_pca", "Fit PCA to embeddings."),
    "import": Lazy(
        "ml.commands.import_artifact:import_artifact", "Import a SigLIP or MobileNetV2 from Hugging Face."
    ),
    "pairs": Lazy("ml.commands.pairs:pairs", "Convert listings to training pairs."),
    "project": Lazy("ml.commands.project:project", "Create an artifact with another projection."),
    "quantise": Lazy("ml.commands.quantise:quantise", "Create an int8 version of an artifact."),
    "unseen": Lazy("ml.commands.unseen:unseen", "Measure an encoder on kinds that it was not trained on."),
}


@click.group(name="ml", cls=Group, lazy=COMMANDS)
def group() -> None:
    """Train, compress, export, run and compare encoders."""
