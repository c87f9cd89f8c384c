"""Which files of a log are read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.log_tables import TABLES
from experiments.analysis.log.read import open_log
from experiments.errors import UnreadableLog
from tests.unit.experiments.analysis.log.logs import (
    at,
    make_event,
    make_experiment,
    make_slate,
    make_tap,
    write_log,
)

PART = "date=2026-11-02/part-0000.parquet"
NOW = at(13)


def test_a_folder_without_impressions_is_no_log(tmp_path: Path) -> None:
    """It says what was expected, and where."""
    with pytest.raises(UnreadableLog, match="no impressions can be read; expected parquet files below"):
        open_log(tmp_path)


def test_a_log_of_broken_impressions_names_them(tmp_path: Path) -> None:
    """The first of them, with what is wrong."""
    path = write_log(tmp_path, [make_slate("u")]) / "impressions" / PART
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableLog, match=r"part-0000.parquet: cannot be read as parquet"):
        open_log(tmp_path)


def test_tables_without_a_file_are_empty(tmp_path: Path) -> None:
    """Slates alone can be summed."""
    with open_log(write_log(tmp_path, [make_slate("u")])) as log:
        assert log.faulty == ()
        assert log.clean(make_experiment(), now=NOW).moments()["control"].total("slates") == 1


def test_half_written_files_are_named_and_excluded(tmp_path: Path) -> None:
    """The events of valid files count; those of the others do not."""
    slate = make_slate("u")
    write_log(tmp_path, [slate], taps=[make_tap(slate)])
    whole = (tmp_path / "taps" / PART).read_bytes()
    cut = tmp_path / "taps" / "date=2026-11-03" / "part-0000.parquet"
    cut.parent.mkdir()
    cut.write_bytes(whole[: len(whole) // 2])
    begun = tmp_path / "purchases" / ".part-0000.parquet.unfinished"
    begun.parent.mkdir()
    begun.write_bytes(b"PAR1")
    with open_log(tmp_path) as log:
        assert {file.path: file.reason.split(" (")[0] for file in log.faulty} == {
            cut: "cannot be read as parquet",
            begun: "is unfinished; remove it if nothing is writing it",
        }
        assert log.clean(make_experiment(), now=NOW).moments()["control"].total("taps") == 1


def test_a_damaged_file_with_a_valid_footer_is_excluded(tmp_path: Path) -> None:
    """It is found out when it is read."""
    slates = [make_slate(f"u{n}") for n in range(200)]
    write_log(tmp_path, slates, item_views=[make_event("u1")])
    good = tmp_path / "impressions" / PART
    bad = good.with_name("part-0001.parquet")
    content = bytearray(good.read_bytes())
    content[50:550] = bytes(500)
    bad.write_bytes(content)
    with open_log(tmp_path) as log:
        assert log.faulty == ()
        clean = log.clean(make_experiment(), now=NOW)
        assert [file.path for file in log.faulty] == [bad]
        assert clean.moments()["control"].count == 200
        assert clean.exclusions == ()


def test_files_with_other_columns_are_named_with_the_differences(tmp_path: Path) -> None:
    """Missing, unknown and of another type."""
    write_log(tmp_path, [make_slate("u")], taps=[])
    table = pa.table({"event_id": ["e"], "user_id": [7], "colour": ["red"]})
    pq.write_table(table, tmp_path / "taps" / "other.parquet")
    with open_log(tmp_path) as log:
        (file,) = log.faulty
    assert file.reason == (
        "has other columns than taps: lacks item_id, position, query_item_id, slate_id, time; "
        "has the unknown colour; user_id is int64, not string"
    )


def test_large_strings_and_names_of_list_members_make_no_difference(tmp_path: Path) -> None:
    """They are how some writers write the same columns."""
    path = write_log(tmp_path, [make_slate("u")]) / "impressions" / PART
    table = pq.read_table(path, partitioning=None)
    arms = TABLES["impressions"].get_field_index("arms")
    other = table["arms"].cast(pa.large_list(pa.field("item", pa.large_string())))
    pq.write_table(table.set_column(arms, "arms", other), path, use_compliant_nested_type=False)
    with open_log(tmp_path) as log:
        assert log.faulty == ()
        assert log.clean(make_experiment(), now=NOW).users_per_arm() == {"control": 1, "treatment": 0}


def test_paths_with_quotes_can_be_read(tmp_path: Path) -> None:
    """As any other."""
    with open_log(write_log(tmp_path / "Ann's log", [make_slate("u")])) as log:
        assert log.clean(make_experiment(), now=NOW).moments()["control"].count == 1


def test_one_log_can_be_cleaned_for_several_experiments(tmp_path: Path) -> None:
    """What was cleaned first can still be read."""
    write_log(tmp_path, [make_slate("u"), make_slate("v", arms=["other:b", "exp:treatment"])])
    other = make_experiment(name="other", arms=({"name": "a"}, {"name": "b"}))
    with open_log(tmp_path, memory="200MB", threads=1) as log:
        one, two = log.clean(make_experiment(), now=NOW), log.clean(other, now=NOW)
        assert one.users_per_arm() == {"control": 1, "treatment": 1}
        assert two.users_per_arm() == {"a": 0, "b": 1}
        assert one.moments()["treatment"].total("slates") == 1


def test_a_log_with_one_simulated_slate_says_so(tmp_path: Path) -> None:
    """Whatever arm it has; null, as in events that were stored before there was the field, is real."""
    real, made_up = [make_slate("u", simulated=None), make_slate("v")], make_slate("w", None, simulated=True)
    write_log(tmp_path / "real", real)
    write_log(tmp_path / "mixed", [*real, made_up])
    for name, expected in (("real", False), ("mixed", True)):
        with open_log(tmp_path / name) as log:
            assert log.simulated() is expected
