"""Numbers in ASCII digits, wherever people write them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli import main
from indexer.settings import IndexerSettings
from mappings.client import ElasticsearchSettings
from mappings.errors import InvalidSetting
from mappings.numbers import decimal_number, whole_number
from query.settings import QuerySettings
from tests.factories import NO_NUMBERS

WHOLE_SETTINGS = {
    "ELASTICSEARCH_MAX_RETRIES": ElasticsearchSettings,
    "NITAMONO_API_PORT": QuerySettings,
    "NITAMONO_API_WORKERS": QuerySettings,
    "NITAMONO_API_THREADS": QuerySettings,
    "NITAMONO_API_ACCESS_LOG": QuerySettings,
    "NITAMONO_CHUNK": IndexerSettings,
    "NITAMONO_FETCH_MAX_BYTES": IndexerSettings,
    "NITAMONO_FETCH_PORTS": IndexerSettings,
    "NITAMONO_MAX_RETRIES": IndexerSettings,
}
DECIMAL_SETTINGS = {
    "ELASTICSEARCH_TIMEOUT": ElasticsearchSettings,
    "NITAMONO_VISIBILITY_TIMEOUT": IndexerSettings,
    "NITAMONO_FETCH_DEADLINE": IndexerSettings,
}


@given(st.integers(0, 10**17))
def test_a_number_is_read_as_it_is_written(number: int) -> None:
    """In digits."""
    assert whole_number(str(number)) == number
    assert decimal_number(f"{number}.25") == number + 0.25


@given(st.text())
def test_what_is_read_is_digits(text: str) -> None:
    """Whatever else Python would take."""
    try:
        whole_number(text)
    except ValueError:
        return
    assert text
    assert set(text) <= set("0123456789")


@pytest.mark.parametrize("text", [text for text in NO_NUMBERS if text])  # an empty variable is not set
@pytest.mark.parametrize("name", WHOLE_SETTINGS | DECIMAL_SETTINGS)
def test_a_setting_that_is_no_number_is_named(name: str, text: str) -> None:
    """With what it is, in a short message."""
    if name == "NITAMONO_FETCH_PORTS" and text.strip() != text:  # spaces may stand between ports
        return
    with pytest.raises(InvalidSetting, match=name) as caught:
        (WHOLE_SETTINGS | DECIMAL_SETTINGS)[name].from_environ({name: text})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", WHOLE_SETTINGS)
def test_a_whole_number_has_no_point(name: str) -> None:
    """Not even before a nought."""
    with pytest.raises(InvalidSetting, match=name):
        WHOLE_SETTINGS[name].from_environ({name: "5.0"})


@pytest.mark.parametrize("option", ["--size", "--price-ratio"])
@pytest.mark.parametrize("text", ["1_0", "+5", "５", "1e1", "nan"])
def test_the_shell_reads_numbers_as_the_api_does(option: str, text: str) -> None:
    """Before anything is asked of Elasticsearch."""
    result = CliRunner().invoke(main, ["similar", "m1", option, text])
    assert result.exit_code == 2, result.output
    assert "in digits" in result.output
