"""Errors of `nitamono similar`; its answers are tested on a real index."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cli import main


@pytest.mark.parametrize(
    ("arguments", "environ", "status", "words"),
    [
        (["m1"], {}, 1, "Elasticsearch does not answer"),
        (["m1"], {}, 1, "start it with `make up` or set ELASTICSEARCH_URL"),
        (["no such\nid"], {}, 1, "no listing 'no such\\nid' in the index"),
        (["m1", "--size", "0"], {}, 2, "Option `--size`: found '0', expected a whole number from 1 to 100"),
        (["m1", "--price-ratio", "1"], {}, 2, "Option `--price-ratio`: found '1', expected a number above 1"),
        (["m1", "--attribute", "Red"], {}, 2, "a name and a value, such as 'colour:Blue'"),
        (["m1", "--explain"], {}, 2, "--explain needs --json"),
        (["m1"], {"NITAMONO_API_PORT": "x"}, 1, "NITAMONO_API_PORT is 'x'"),
    ],
)
def test_a_failure_is_one_sentence(
    arguments: list[str], environ: dict[str, str], status: int, words: str
) -> None:
    """It says what was found and what to do, without a traceback."""
    away = {"ELASTICSEARCH_URL": "http://127.0.0.1:9", "ELASTICSEARCH_TIMEOUT_S": "2"}
    result = CliRunner().invoke(main, ["similar", *arguments], env={**away, **environ})
    assert result.exit_code == status
    assert words in result.output
    assert "Traceback" not in result.output
