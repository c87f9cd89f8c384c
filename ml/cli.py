"""`nitamono ml`: train, compress, export, run and compare encoders; each command is a file of ml/commands."""

import importlib

import click

from ml.errors import MlError

TRAINING_LIBRARIES = frozenset(
    {"torch", "onnx", "onnxscript", "safetensors", "transformers", "sklearn", "matplotlib", "nncf"}
)

# Name to its text; the command is the function of that name in ml/commands/NAME.py ("-" is "_" there),
# imported when called, so that each starts without the others' libraries.
COMMANDS = {
    "artifact": "Look at encoder artifacts and complete them.",
    "bench": "Measure the backends on this machine.",
    "embed": "Embed photos into a .npy file.",
    "evaluate": "Compare encoders by exact search.",
    "export": "Export a training run to an artifact.",
    "finetune": "Train and export an encoder.",
    "fit-pca": "Fit PCA to shards of embeddings.",
    "import": "Make an artifact of a SigLIP or MobileNetV2 of the hub.",
    "pairs": "Turn listing events into training pairs.",
    "quantise": "Add int8 graphs to an artifact.",
}


class MlCommands(click.Group):
    """Commands that end with one sentence where an input or a missing library stops them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, from its file."""
        if cmd_name not in COMMANDS:
            return None
        # "import" cannot name a module.
        name = {"import": "import_artifact"}.get(cmd_name, cmd_name.replace("-", "_"))
        command: click.Command = getattr(importlib.import_module(f"ml.commands.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """The command's own result."""
        try:
            return super().invoke(ctx)
        except MlError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            if error.name not in TRAINING_LIBRARIES:
                raise
            raise click.ClickException(
                f"{error.name} is not installed; training and comparing need it: run `make train`"
            ) from error


@click.group(name="ml", cls=MlCommands)
def group() -> None:
    """Train, compress, export, run and compare encoders."""
