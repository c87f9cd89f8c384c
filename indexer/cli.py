from __future__ import annotations

import click


@click.group(name="indexer")
def group() -> None:
    """x"""


@click.command(name="index")
def index_command() -> None:
    """x"""
