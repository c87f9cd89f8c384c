"""The table of settings in docs/settings.md."""

from __future__ import annotations

from docs.settings_table import PAGE, READERS, page_with_table, table
from settings.environment import all_settings


def test_the_page_has_the_table_of_the_code() -> None:
    """If this fails, run `python -m docs.settings_table`."""
    page = PAGE.read_text(encoding="utf-8")
    assert page_with_table(page) == page


def test_each_variable_has_one_row_with_a_description() -> None:
    """Variables that several processes read, too."""
    rows = [line.split(" | ") for line in table().splitlines()[2:]]
    names = [row[0].removeprefix("| `").removesuffix("`") for row in rows]
    assert len(names) == len(set(names))
    assert set(names) == {each.variable.name for cls in READERS.values() for each in all_settings(cls)}
    assert all(row[3].removesuffix(" |").endswith(".") for row in rows)


def test_a_row_names_the_default_and_the_readers() -> None:
    """A default that follows from the machine is described."""
    assert "| `NITAMONO_API_PORT` | 8000 | API, `make` | The port that the API listens on. |" in table()
    assert "| `ELASTICSEARCH_URL` | `http://127.0.0.1:9200` | all |" in table()
    assert "| `NITAMONO_STATE_DIR` | `.nitamono` in the clone |" in table()
