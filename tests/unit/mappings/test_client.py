"""Elasticsearch settings: from the environment, without showing secrets."""

from __future__ import annotations

import pytest

from mappings.client import ElasticsearchSettings, ResponseReader, connect
from settings.errors import InvalidSetting


def test_defaults_are_a_cluster_on_this_machine() -> None:
    """The demo needs no settings."""
    assert ElasticsearchSettings.from_environ({}) == ElasticsearchSettings(urls=("http://127.0.0.1:9200",))


def test_every_setting_comes_from_the_environment() -> None:
    """Several nodes are separated by commas."""
    settings = ElasticsearchSettings.from_environ(
        {
            "ELASTICSEARCH_URL": "https://a:9200, https://b:9200",
            "ELASTICSEARCH_USERNAME": "reader",
            "ELASTICSEARCH_PASSWORD": "hunter2",
            "ELASTICSEARCH_CA_CERTS": "/ca.pem",
            "ELASTICSEARCH_TIMEOUT_S": "3.5",
            "ELASTICSEARCH_MAX_RETRIES": "5",
            "NITAMONO_INDEX_PREFIX": "shop",
        }
    )
    assert settings.urls == ("https://a:9200", "https://b:9200")
    assert (settings.username, settings.password, settings.ca_certs) == ("reader", "hunter2", "/ca.pem")
    assert (settings.timeout_s, settings.max_retries, settings.prefix) == (3.5, 5, "shop")


def test_secrets_stay_out_of_repr() -> None:
    """Logged settings contain no secret."""
    shown = repr(ElasticsearchSettings(api_key="abc-key", password="hunter2"))
    assert "abc-key" not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "inf"])
def test_an_invalid_number_is_refused(value: str) -> None:
    """The message names the variable and its value."""
    with pytest.raises(InvalidSetting, match=f"ELASTICSEARCH_TIMEOUT_S is '{value}'"):
        ElasticsearchSettings.from_environ({"ELASTICSEARCH_TIMEOUT_S": value})


def test_a_url_that_is_none_is_shown_without_its_password() -> None:
    """Both where the setting is quoted and where the client quotes it."""
    settings = ElasticsearchSettings.from_environ({"ELASTICSEARCH_URL": "http://user:secret@host:abc"})
    with pytest.raises(InvalidSetting, match="ELASTICSEARCH_URL is http://host:abc") as caught:
        connect(settings)
    assert "secret" not in str(caught.value)
    assert "CA_CERTS" not in str(caught.value)


def test_two_kinds_of_credentials_are_refused() -> None:
    """It is unclear which one is meant."""
    with pytest.raises(InvalidSetting, match="not both"):
        ElasticsearchSettings.from_environ({"ELASTICSEARCH_API_KEY": "k", "ELASTICSEARCH_USERNAME": "u"})


@pytest.mark.parametrize(
    "settings",
    [
        ElasticsearchSettings(urls=("foo",)),
        ElasticsearchSettings(urls=("http://127.0.0.1",)),
        ElasticsearchSettings(ca_certs="/nope"),
    ],
)
def test_an_invalid_url_or_certificate_is_refused(settings: ElasticsearchSettings) -> None:
    """The message names the variables."""
    with pytest.raises(InvalidSetting, match="ELASTICSEARCH_URL is"):
        connect(settings)


def test_the_client_sends_its_credentials() -> None:
    """An API key, or a name and password, in a header."""
    by_key = connect(ElasticsearchSettings(api_key="abc"))
    by_name = connect(ElasticsearchSettings(username="u", password="p"))
    assert by_key._headers["authorization"] == "ApiKey abc"
    assert by_name._headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"price": 1290.5, "title": "\xe9\x9d\xb4"}', {"price": 1290.5, "title": "靴"}),
        (b'["\\ud800"]', ["\ud800"]),  # half of a surrogate pair
        (b"[NaN]", [pytest.approx(float("nan"), nan_ok=True)]),
    ],
)
def test_every_response_that_the_client_reads_is_read(data: bytes, value: object) -> None:
    """Also what orjson refuses."""
    assert ResponseReader().loads(data) == value


def test_a_request_is_written_as_the_client_does() -> None:
    """orjson would send NaN as null, which Elasticsearch stores as no value."""
    assert ResponseReader().dumps({"price": float("nan")}) == b'{"price":NaN}'
