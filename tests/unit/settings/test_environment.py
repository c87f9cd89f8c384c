"""Settings classes, read from an environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Le

from docs.settings_table import READERS
from settings.environment import Seconds, Variable, Whole, all_settings, comma_separated, read_settings
from settings.errors import InvalidSetting


@dataclass(frozen=True)
class Store:
    """A nested group."""

    url: Annotated[str, Variable("STORE_URL", "The store.")] = "http://store"
    key: Annotated[Whole | None, Variable("STORE_KEY", "Its key.", "a number", secret=True)] = field(
        default=None, repr=False
    )


@dataclass(frozen=True)
class Settings:
    """The settings of a process."""

    store: Store = field(default_factory=Store)
    size: Annotated[Whole, Ge(1), Le(9), Variable("SIZE", "The size.")] = 3
    retries: Annotated[Whole, Ge(0), Variable("RETRIES", "The retries.")] = 5
    timeout_s: Annotated[Seconds, Variable("TIMEOUT_S", "The timeout.")] = 10.0
    mode: Annotated[Literal["fast", "slow"], Variable("MODE", "The mode.")] = "fast"
    folder: Annotated[Path | None, Variable("DIR", "The folder.")] = None
    limit: int = 7


def test_defaults_need_no_environment() -> None:
    """An empty variable counts as not set."""
    assert read_settings(Settings, {}) == read_settings(Settings, {"SIZE": "", "STORE_URL": ""}) == Settings()


def test_each_field_is_read_from_its_variable() -> None:
    """Those of a nested group, too."""
    environ = {"STORE_URL": "http://x", "SIZE": "4", "TIMEOUT_S": "0.5", "MODE": "slow", "DIR": "/data"}
    expected = Settings(Store("http://x"), size=4, timeout_s=0.5, mode="slow", folder=Path("/data"))
    assert read_settings(Settings, environ) == expected


def test_a_name_of_a_field_is_no_variable() -> None:
    """Shells have variables of all kinds of names."""
    assert read_settings(Settings, {"size": "4", "limit": "1"}) == Settings()


def test_a_computed_default_is_used_if_the_variable_is_not_set() -> None:
    """It is read as a variable would be."""
    assert read_settings(Settings, {}, {"DIR": "/default"}).folder == Path("/default")
    assert read_settings(Settings, {"DIR": "/set"}, {"DIR": "/default"}).folder == Path("/set")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("SIZE", "0", "SIZE is '0', expected a whole number from 1 to 9"),
        ("SIZE", "1_0", "SIZE is '1_0', expected a whole number from 1 to 9"),
        ("RETRIES", "-1", "RETRIES is '-1', expected a whole number from 0 up"),
        ("TIMEOUT_S", "nan", "TIMEOUT_S is 'nan', expected a number of seconds from 0.1 to 86400"),
        ("MODE", "Fast", "MODE is 'Fast', expected one of fast, slow"),
        ("STORE_KEY", "hush", "STORE_KEY has an invalid value, expected a number"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, text: str, message: str) -> None:
    """With the variable, what was found and what is expected. A secret is not repeated."""
    with pytest.raises(InvalidSetting) as caught:
        read_settings(Settings, {name: text})
    assert str(caught.value) == message
    assert caught.value.__cause__ is None


def test_a_list_is_separated_by_commas() -> None:
    """Spaces and empty parts do not count."""
    assert comma_separated(" 80 , ,443,") == ("80", "443")
    for empty in ("", " ", ",", " , "):
        with pytest.raises(ValueError, match="an empty list"):
            comma_separated(empty)


def test_every_setting_says_what_it_expects() -> None:
    """By its type, or by `expected` where a type does not say it."""
    settings = [setting for cls in READERS.values() for setting in all_settings(cls)]
    expected = {setting.variable.name: setting.expected for setting in settings}
    assert expected["NITAMONO_FETCH_MAX_BYTES"] == "a whole number of bytes from 1 up"
    assert expected["ELASTICSEARCH_PASSWORD"] == "text"
    assert expected["NITAMONO_REPORTS_DIR"] == "a path"
    assert expected["ES_HOME"] == "a path"
    assert expected["NITAMONO_IMAGE_ROOTS"] == "folders separated by colons"


SETTINGS = {setting.variable.name: setting for cls in READERS.values() for setting in all_settings(cls)}
NUMBERS = {
    name: (float(found[1]), float(found[2]) if found[2] else None)
    for name, setting in SETTINGS.items()
    if (found := re.search(r" from ([0-9.]+) (?:up|to ([0-9.]+))$", setting.expected))
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_message_names_the_range_that_is_accepted(name: str) -> None:
    """Both of its ends can be used, and nothing beyond them."""
    low, high = NUMBERS[name]
    step = 1 if "whole" in SETTINGS[name].expected else 0.01
    assert SETTINGS[name].read(f"{low:g}") == low
    beyond = [] if high is None else [high + step]
    assert high is None or SETTINGS[name].read(f"{high:.15g}") == high
    for number in [low - step, *beyond]:
        with pytest.raises(InvalidSetting):
            SETTINGS[name].read(f"{number:.15g}")
    if high is None:
        assert SETTINGS[name].read("1000000000") == 1e9


def test_ranges_of_settings_that_may_be_absent_are_named() -> None:
    """Their constraints are those of one type of a union."""
    assert SETTINGS["NITAMONO_FRESHNESS"].expected == "a number from 0 to 10"
    assert SETTINGS["NITAMONO_MIN_SIMILARITY"].expected == "a number from 0 to 1"
    assert len(NUMBERS) > 20


def test_all_settings_have_variables() -> None:
    """Those of nested groups come first; a field without a variable is none."""
    names = [setting.variable.name for setting in all_settings(Settings)]
    assert names == ["STORE_URL", "STORE_KEY", "SIZE", "RETRIES", "TIMEOUT_S", "MODE", "DIR"]
