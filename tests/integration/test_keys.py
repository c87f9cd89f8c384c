"""`nitamono keys` against a real Elasticsearch."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch

import cli
import query.access.store
from query.access.key_ring import KeyRing
from query.access.keys import key_id, new_key
from query.access.roles import Role
from query.access.store import KEPT_AFTER_END, TooManyKeys, create_key, key_index, read_keys, revoke_key

NOW = datetime.now(UTC)


@pytest.fixture
def environ(elasticsearch_url: str, index_prefix: str) -> dict[str, str]:
    """The environment of a command on the index of this test."""
    return {"ELASTICSEARCH_URL": elasticsearch_url, "NITAMONO_INDEX_PREFIX": index_prefix}


def keys(environ: dict[str, str], *words: str) -> Result:
    """The result of `nitamono keys WORDS`."""
    return CliRunner().invoke(cli.main, ["keys", *words], env=environ)


def test_a_key_is_shown_once_and_stored_as_a_digest(
    es: Elasticsearch, index_prefix: str, environ: dict[str, str]
) -> None:
    """Standard output is the key alone; neither the list nor the index has its secret."""
    created = keys(environ, "create", "shop backend", "--role", "ingest", "--expires", "90d")
    assert created.exit_code == 0, created.output
    assert "This is the first key: a server that was open needs one from now on." in created.stderr
    text = created.stdout.strip()
    id_ = key_id(text)
    assert id_
    listed = keys(environ, "list")
    assert id_ in listed.output
    assert "shop backend" in listed.output
    assert "valid until" in listed.output
    stored = json.dumps(es.search(index=key_index(index_prefix)).body)
    secret = text.rpartition("_")[2]
    assert secret[:12] not in listed.output + stored
    holder = KeyRing.of(es, index_prefix).holder(text)
    assert holder
    assert (holder.name, holder.role) == ("shop backend", Role.INGEST)


def test_a_revoked_key_is_refused_and_listed(
    es: Elasticsearch, index_prefix: str, environ: dict[str, str]
) -> None:
    """By a server that starts afterwards; others know within seconds (tests/unit)."""
    text = keys(environ, "create", "job", "--role", "read").stdout.strip()
    revoked = keys(environ, "revoke", key_id(text) or "")
    assert "Every server refuses it within five seconds" in revoked.output
    assert KeyRing.of(es, index_prefix).holder(text) is None
    assert "revoked" in keys(environ, "list").output
    first = read_keys(es, index_prefix)
    keys(environ, "revoke", key_id(text) or "")
    assert read_keys(es, index_prefix) == first


def test_both_keys_open_during_a_rotation(
    es: Elasticsearch, index_prefix: str, environ: dict[str, str]
) -> None:
    """The old one until the grace period ends; then it can be rotated no more."""
    old = keys(environ, "create", "job", "--role", "ingest").stdout.strip()
    rotated = keys(environ, "rotate", key_id(old) or "", "--grace", "1h")
    new = rotated.stdout.strip()
    ring = KeyRing.of(es, index_prefix)
    holders = [ring.holder(old), ring.holder(new)]
    assert [(each.name, each.role) for each in holders if each] == [("job", Role.INGEST)] * 2
    in_two_hours = KeyRing.of(es, index_prefix)
    in_two_hours._clock = lambda: NOW + timedelta(hours=2)
    assert (in_two_hours.holder(old), in_two_hours.holder(new) is None) == (None, False)
    keys(environ, "rotate", key_id(new) or "", "--grace", "0m")
    again = keys(environ, "rotate", key_id(new) or "")
    assert again.exit_code == 1
    assert "has ended; create a new one" in again.output


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("create", "", "--role", "read"), "1 to 64 printable characters"),
        (("create", "x", "--role", "root"), "'root' is not one of"),
        (("create", "x", "--role", "read", "--expires", "soon"), "expected a duration such as"),
        (("revoke", "nobody"), "no key has this id; `nitamono keys list` shows the ids"),
    ],
)
def test_mistakes_are_explained(environ: dict[str, str], words: tuple[str, ...], found: str) -> None:
    """In one sentence each."""
    result = keys(environ, *words)
    assert result.exit_code != 0
    assert found in result.output


def test_a_key_given_as_a_name_or_id_is_not_repeated(environ: dict[str, str]) -> None:
    """Terminals are logged."""
    text = new_key()
    for words in (("create", text, "--role", "read"), ("revoke", text)):
        result = keys(environ, *words)
        assert result.exit_code != 0
        assert text not in result.output


def test_without_keys_the_list_says_so(environ: dict[str, str]) -> None:
    """Before the index exists."""
    assert keys(environ, "list").output == "No key exists.\n"


def test_ended_keys_make_room_and_valid_ones_do_not(
    es: Elasticsearch, index_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers read a bounded number."""
    monkeypatch.setattr(query.access.store, "MOST_KEYS", 2)
    first, _ = create_key(es, index_prefix, "one", Role.READ, NOW)
    create_key(es, index_prefix, "two", Role.READ, NOW)
    with pytest.raises(TooManyKeys):
        create_key(es, index_prefix, "three", Role.READ, NOW)
    revoke_key(es, index_prefix, first.id, NOW)
    later = NOW + KEPT_AFTER_END + timedelta(seconds=1)
    create_key(es, index_prefix, "three", Role.READ, later)
    assert [key.name for key in read_keys(es, index_prefix)] == ["two", "three"]
