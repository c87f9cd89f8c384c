"""`nitamono keys`: create, list, revoke and rotate API keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from elasticsearch import Elasticsearch

from console.duration import DURATION, Duration
from console.group import Group
from console.table import table
from mappings.client import ElasticsearchSettings, connect
from query.access.keys import key_id
from query.access.roles import Role
from query.access.store import ApiKey, create_key, read_keys, revoke_key, rotate_key


def key_name(_: click.Context, __: click.Parameter, text: str) -> str:
    """Return the name, which is shown in tables and logs and so is never the key itself.

    Raises:
        click.BadParameter: it is not a short, readable text.
    """
    if not 1 <= len(text) <= 64 or not text.isprintable() or key_id(text):
        raise click.BadParameter("expected 1 to 64 printable characters, such as shop-backend.")
    return text


@click.group(name="keys", cls=Group)
def group() -> None:
    """Create, list, revoke and rotate the API keys of this deployment."""


@group.command()
@click.argument("name", callback=key_name)
@click.option(
    "--role",
    required=True,
    type=click.Choice([role.label for role in Role]),
    help="What the key may do. Each role includes those before it.",
)
@click.option("--expires", type=DURATION, help="The lifetime, such as 90d.")
def create(name: str, role: str, expires: Duration | None) -> None:
    """Create a key and print it, once. NAME says who uses it."""
    now = datetime.now(UTC)
    with _keys() as (es, prefix):
        if not read_keys(es, prefix):
            click.echo("This is the first key: a server that was open needs one from now on.", err=True)
        key, text = create_key(
            es, prefix, name, Role[role.upper()], now, expires_at=now + expires.time if expires else None
        )
    _show(key, text)


@group.command(name="list")
def list_command() -> None:
    """List the keys, without their secrets."""
    with _keys() as (es, prefix):
        keys = read_keys(es, prefix)
    if not keys:
        click.echo("No key exists.")
        return
    now = datetime.now(UTC)
    click.echo(table(("ID", "NAME", "ROLE", "CREATED", "STATE"), (_row(key, now) for key in keys)))


@group.command()
@click.argument("id_", metavar="ID")
def revoke(id_: str) -> None:
    """Revoke the key ID: every server refuses it within five seconds."""
    with _keys() as (es, prefix):
        key = revoke_key(es, prefix, id_, datetime.now(UTC))
    click.echo(f"Revoked: {key.id} ({key.name}). Every server refuses it within five seconds.")


@group.command()
@click.argument("id_", metavar="ID")
@click.option(
    "--grace",
    type=DURATION,
    default="24h",
    show_default=True,
    help="For how long the old key stays valid; 0m ends it at once.",
)
def rotate(id_: str, grace: Duration) -> None:
    """Create a key that replaces the key ID, and print it, once."""
    now = datetime.now(UTC)
    with _keys() as (es, prefix):
        key, text = rotate_key(es, prefix, id_, now, grace=grace.time)
    click.echo(f"The key {id_} is valid until {now + grace.time:%Y-%m-%d %H:%M} UTC at most.", err=True)
    _show(key, text)


@contextmanager
def _keys() -> Iterator[tuple[Elasticsearch, str]]:
    settings = ElasticsearchSettings.from_environ(os.environ)
    with connect(settings) as es:
        yield es, settings.prefix


def _show(key: ApiKey, text: str) -> None:
    """Print the key alone to standard output, so that a script can store it."""
    click.echo(f"Created: {key.id} ({key.name}, {key.role.label}). The key is shown only now:", err=True)
    click.echo(text)


def _row(key: ApiKey, now: datetime) -> tuple[str, ...]:
    return (key.id, key.name, key.role.label, f"{key.created_at:%Y-%m-%d}", _state(key, now))


def _state(key: ApiKey, now: datetime) -> str:
    if not key.is_valid(now):
        return f"{'revoked' if key.revoked_at else 'expired'} {key.ended_at:%Y-%m-%d %H:%M}"
    return f"valid until {key.ended_at:%Y-%m-%d %H:%M}" if key.ended_at else "valid"
