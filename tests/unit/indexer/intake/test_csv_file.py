"""CSV files in every dialect, and quotes that are not closed."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.errors import UnreadableFile
from indexer.intake.csv_file import read_csv
from indexer.intake.files import checked, read_rows
from indexer.intake.listing_map import NO_MAP, REQUIRED
from indexer.intake.row import MAX_ROW_LENGTH, Row
from mappings.listing import parse_listing
from tests.soak import scaled

HEADER = (
    "item_id,title,category,price,currency,seller_id,status,created_at,updated_at,images,attributes.colour"
)
REST = "Apparel > Skirts,1290,JPY,s1,on_sale,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,/a.jpg,Red"


def read(text: str) -> list[Row]:
    """Return the rows of a CSV file with that text."""
    rows = read_csv(io.StringIO(text, newline=""), NO_MAP)
    return [replace(row, event=row.event and NO_MAP.event_of(row.event)) for row in rows]


def events(text: str) -> list[dict[str, Any]]:
    """Return the events of a file without rejected rows."""
    found = [row.event for row in read(text)]
    assert None not in found
    return [event for event in found if event is not None]


def problems(text: str) -> list[tuple[str, str]]:
    """Return the location and the detail of each rejected row."""
    return [(row.location, row.detail) for row in read(text) if row.event is None]


def table(*titles: str) -> str:
    """Return a file with a row for each title, which is written as it is."""
    return "\n".join([HEADER, *(f"m{n},{title},{REST}" for n, title in enumerate(titles, 1))]) + "\n"


def test_columns_become_an_event() -> None:
    """Paths, lists and attributes in columns; empty fields are absent."""
    first, second = read(
        f"\ufeff{HEADER},note\n"
        'm1,"Skirt, ""red""",A > B > C,1290,JPY,s1,on_sale,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,'
        "/a.jpg | /b.jpg,Red,\n"
        "m2,,A,cheap,JPY,s1,on_sale,,,,,\n"
    )

    listing = parse_listing(first.event)
    assert (listing.title, listing.category, listing.price) == ('Skirt, "red"', ("A", "B", "C"), 1290)
    assert (listing.images, listing.attributes) == (("/a.jpg", "/b.jpg"), {"colour": "Red"})
    assert second.event == {
        "item_id": "m2",
        "category": ["A"],
        "price": "cheap",
        "currency": "JPY",
        "seller_id": "s1",
        "status": "on_sale",
    }


def test_ids_and_words_are_kept_as_they_are() -> None:
    """Text that other programs read as null or as a number stays text."""
    words = ["NA", "null", "None", "nan", "00123", "1e5", "031162100", "TRUE", "1_000", "-", "#N/A"]
    text = "\n".join([HEADER, *(f"{word},{word},{REST[:-3]}{word}" for word in words if word[0] not in "-#")])

    for event, word in zip(events(text), words, strict=False):
        assert (event["item_id"], event["title"], event["attributes"]) == (word, word, {"colour": word})


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("before", ["", "\n\n", "sep={}\n", "\n\ufeff"])
def test_dialects_are_read(end: str, delimiter: str, before: str) -> None:
    """Delimiters, line ends, blank rows, a line for Excel, another case, spaces around names."""
    plain = table("Red skirt", "Blue").replace("item_id,title", "Item_ID,Title ")
    text = (before.format(delimiter) + plain).replace(",", delimiter).replace("\nm2", "\n\n  \n\nm2")
    text += delimiter * 10 + "\n"

    first, second = events(text.replace("\n", end))
    assert (first["item_id"], first["title"], first["category"]) == ("m1", "Red skirt", ["Apparel", "Skirts"])
    assert (second["item_id"], second["price"], second["attributes"]) == ("m2", 1290.0, {"colour": "Red"})


def test_any_delimiter_can_be_declared_in_the_file() -> None:
    """In the form that Excel reads."""
    text = 'sep="^"\n'.replace('"', "") + table("a,b").replace(",", "^").replace("a^b", "a,b")

    assert [event["title"] for event in events(text)] == ["a,b"]


def test_a_space_after_each_delimiter_is_not_part_of_a_field() -> None:
    """A field after it can still be quoted."""
    text = table('"Skirt, red"', "Blue").replace(",", ", ").replace("Skirt,  red", "Skirt, red")

    assert [event["title"] for event in events(text)] == ["Skirt, red", "Blue"]
    assert events(text)[0]["attributes"] == {"colour": "Red"}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("name,cost", "missing columns item_id, title, .*: the header is 'name,cost'"),
        (HEADER.replace("price,", ""), "missing column price:"),
        (HEADER + ",Title", "repeated column title"),
        (HEADER + ",attributes.colour", "repeated column attributes.colour"),
        (HEADER.replace(",", "|"), "missing columns item_id"),
        (f'"{HEADER}', "a quote is misplaced or not closed"),
    ],
)
def test_another_header_is_reported_in_one_sentence(tmp_path: Path, header: str, words: str) -> None:
    """Instead of a dead letter for each row."""
    (tmp_path / "a.csv").write_text(f"{header}\nx,1\n")

    with pytest.raises(UnreadableFile, match=f"a.csv: .*{words}"):
        checked(tmp_path / "a.csv")


def test_unknown_columns_may_be_repeated() -> None:
    """They are not read; neither is a column without a name."""
    text = f",{HEADER},note,note,\n0,m1,t,{REST},a,b\n1,m2,t,{REST},a,b,\n2,m3,t,{REST},a,b,,\n"

    assert [row.event and row.event["item_id"] for row in read(text)] == ["m1", "m2", None]
    assert problems(text) == [("line 4", "found 16 fields, the header has 15")]


def test_rows_without_empty_last_fields_are_read() -> None:
    """Spreadsheets write such rows. A row that lacks other fields is rejected."""
    short = REST.removesuffix(",/a.jpg,Red")
    (first, second) = read(f"{HEADER}\nm1,t,{short}\nm2,t,A\n")

    assert first.event is not None
    assert not {"images", "attributes"} & set(first.event)
    assert (second.reason, second.location, second.raw) == ("wrong_field_count", "line 3", "m2,t,A")


@pytest.mark.parametrize("title", ["t", '"27"" TV"', '"first\nsecond"'])
def test_a_wrong_number_of_fields_is_no_reason_to_doubt_the_next_row(title: str) -> None:
    """Each such row is counted, and says how many fields it has."""
    short, surplus = f"m1,{title},A\n", f"m2,{title},{REST},,\n"
    rows = read(f"{HEADER}\n{short}{short}{surplus}{short}m3,{title},{REST}\n{surplus}m4,{title},{REST}\n")

    assert [row.event and row.event["item_id"] for row in rows] == [None] * 4 + ["m3", None, "m4"]
    wrong = [(row.reason, row.detail) for row in rows if row.event is None]
    few, many = (("wrong_field_count", f"found {count} fields, the header has 11") for count in (3, 13))
    assert wrong == [few, few, many, few, many]


@pytest.mark.parametrize(("category", "status"), [("A", "for sale"), ('"A\nB"', "on_sale")])
def test_a_row_after_one_with_a_wrong_number_of_fields_may_have_bare_quotes(
    category: str, status: str
) -> None:
    """No quote of the row before it can be open, since that has none."""
    first, second = read(f'{HEADER}\nm1,t,A\nm2,27" TV,{category},1290,JPY,s1,{status},,\n')

    assert first.reason == "wrong_field_count"
    assert second.event is not None
    assert second.event["title"] == '27" TV'


def test_an_unclosed_quote_has_a_reason_of_its_own() -> None:
    """Before and after rows with a wrong number of fields, and on a line with the right number."""
    rows = read(f'{HEADER}\nm1,t,A\nm2,"24 inch,{REST}\nm3,t,{REST},,\nm4,t,{REST}\n')

    reasons = ["wrong_field_count", "invalid_csv", "wrong_field_count", ""]
    assert [row.reason for row in rows] == reasons
    assert rows[1].detail.startswith("a quote is misplaced or not closed")


def test_a_record_that_is_too_long_is_rejected() -> None:
    """A long line, or a quote that is never closed."""
    for title in ("x" * (2 * MAX_ROW_LENGTH), '"' + "x" * (2 * MAX_ROW_LENGTH)):
        rows = read(table("a", title, "b"))
        assert [row.event is not None for row in rows] == [True, False, True]
        assert f"longer than {MAX_ROW_LENGTH:,} characters" in rows[1].detail


def test_text_with_line_breaks_is_read() -> None:
    """In many rows, in any column, with quotes, delimiters and blank lines in it."""
    text = '"first, line\n\nsecond ""line"", and\r\nthird"'
    for place in range(11):
        columns = HEADER.split(",")
        columns.insert(place, "note")
        row = ["m{}", "t", *REST.split(",")]
        row.insert(place, text)
        lines = [",".join(columns), *(",".join(row).format(n) for n in range(20))]

        assert [event["item_id"] for event in events("\n".join(lines))] == [f"m{n}" for n in range(20)]


@pytest.mark.parametrize(
    ("titles", "bad"),
    [
        (["a", '"24 inch', "b", "c", '"ok"', "d"], ["line 3"]),
        (["a", '"24 inch', "b", "c", "d"], ["line 3"]),
        (["a", "b", "c", '"24 inch'], ["line 5"]),
        (["a", '"24 inch', '15"', "b"], ["line 3"]),
        (["a", '"24 inch', '15"', '16"', "b"], ["line 3"]),
        (['"24 inch', '"25 inch', '15"', '"16""'], ["line 2", "line 3", "line 5"]),
        (["a", '"24 inch', '", big"', "b"], ["line 3"]),
        (["a", '"24 inch', "b", '15"', '16"'], ["line 3"]),
        (["a", '"24 inch', '""', "b", '"", c'], ["line 3", "line 6"]),
        (['"24 inch', '"25 inch', '"26 inch', "b"], ["line 2", "line 3", "line 4"]),
        (['"24 inch', '"first\nsecond"', "b"], ["line 2"]),
        (['"24 "inch"', "b"], ["line 2"]),
        (['"first\nsec"ond\nthird"', "b"], ["lines 2 to 4"]),
        (['"say \\"hi\\""', "b"], ["line 2"]),
        (['"a\nb",surplus', "b"], ["lines 2 to 3"]),
        (['"24 "inch\n\n15"', "b"], ["lines 2 to 4"]),
    ],
)
def test_an_unclosed_quote_affects_only_its_own_row(titles: list[str], bad: list[str]) -> None:
    """Its lines are named; all other rows are unchanged."""
    rows = read(table(*titles))

    assert [row.location for row in rows if row.event is None] == bad
    found = {row.event["item_id"]: row.event.get("title", "") for row in rows if row.event}
    good = [n for n in range(1, len(titles) + 1) if f"m{n}" in found]
    assert len(good) + len(bad) == len(titles)
    for n in good:
        written = titles[n - 1]
        assert found[f"m{n}"] == (written[1:-1] if written.startswith('"') else written)


def test_a_quote_inside_a_field_is_a_character() -> None:
    """Unless an earlier quote is not closed."""
    assert [event["title"] for event in events(table('24" screen', '15"', "b"))] == ['24" screen', '15"', "b"]


@dataclass(frozen=True)
class Written:
    """A valid table as text, with the first and last line of each row."""

    text: str
    spans: tuple[tuple[int, int], ...]
    begin: int
    """The position in the text at which the first row begins."""
    is_plain: bool
    """Whether each row is one line with a valid status."""


OPTIONAL = ("images", "attributes.a", "attributes.b")


@st.composite
def written_tables(draw: st.DrawFn) -> Written:
    """Tables of any text, with columns in any order, quotes around fields or inch marks in them, with or
    without the last empty fields. Each field but a status or an empty one ends in the name of its row."""
    names = draw(st.permutations(REQUIRED))
    names = draw(st.one_of(st.permutations([*names, *OPTIONAL]), st.just([*names, *OPTIONAL])))
    delimiter, quoting = draw(st.sampled_from(",;")), draw(st.sampled_from(["all", "needed", "inch marks"]))
    is_short, is_plain = draw(st.booleans()), draw(st.booleans())
    values = st.text('ab",; ' if is_plain else 'ab",;\n\r ', max_size=6)
    text, spans, line = f"{delimiter.join(names)}\r\n", [], 1
    begin = len(text)
    for row in range(draw(st.integers(1, 6))):
        fields = []
        for name in names:
            value = f"{draw(values)}m{row}"
            if name == "item_id":
                value = f"m{row}"
            elif name == "status" and is_plain:
                value = "on_sale"
            elif name in OPTIONAL and draw(st.booleans()):
                value = ""
            fields.append(written(value, quoting))
        while is_short and fields[-1] in ("", '""'):
            fields.pop()
        added = delimiter.join(fields) + "\r\n"
        lines = len(re.findall(r"\r\n|\r|\n", added))
        spans.append((line + 1, line + lines))
        line += lines
        text += added
    return Written(text, tuple(spans), begin, is_plain)


def written(value: str, quoting: str) -> str:
    """Return a field with a style of quotes."""
    needed = '[,;\n\r]|^"' if quoting == "inch marks" else '[,;\n\r"]'
    if quoting == "all" or re.search(needed, value):
        return '"' + value.replace('"', '""') + '"'
    return value


def lines_of(row: Row) -> tuple[int, int]:
    """Return the first and the last line of a rejected row."""
    numbers = [int(number) for number in re.findall(r"\d+", row.location)]
    return numbers[0], numbers[-1]


@pytest.mark.parametrize("examples", [100, pytest.param(scaled(5000), marks=pytest.mark.soak)])
def test_a_stray_quote_anywhere_loses_and_mixes_no_row(examples: int) -> None:
    """At any position in any table."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(written_tables(), st.data())
    def check(written: Written, data: st.DataObject) -> None:
        check_stray_quote(written, data.draw(st.integers(written.begin, len(written.text))))

    check()


def check_stray_quote(written: Written, position: int) -> None:
    """Without the quote all rows are read. With it, all other rows are unchanged or among the rejected
    lines; no event has a value of another row; and if rows are lines, each line is counted."""
    whole = {event["item_id"]: event for event in events(written.text)}
    assert list(whole) == [f"m{row}" for row in range(len(written.spans))]

    text = written.text[:position] + '"' + written.text[position:]
    rows = read(text)
    hit = len(re.findall(r"\r\n|\r|\n", written.text[:position])) + 1
    rejected = [lines_of(row) for row in rows if row.event is None]
    found = [row.event for row in rows if row.event is not None]
    if written.is_plain and text[position - 1 : position + 2] != '\r"\n':
        assert len(rows) == len(text.splitlines()) - 1, "the summary does not add up"
    for number, (first, last) in enumerate(written.spans):
        if not first <= hit <= last:
            named = any(start <= last and first <= end for start, end in rejected)
            assert found.count(whole[f"m{number}"]) == 1 or named
    for event in found:
        tags = set(re.findall(r"m\d", str(event)))
        assert len(tags) <= 1, "values of two rows"
        others = [name for name, known in whole.items() if known == event]
        owner = next((n for n, (first, last) in enumerate(written.spans) if first <= hit <= last), None)
        assert others or tags <= {f"m{owner}"}


@pytest.mark.parametrize("missing", ["", ",Red", ",/a.jpg,Red"])
@pytest.mark.parametrize("title", ['27" TV', '"TV, 27"""', '"27"" TV,\nbig"', "TV"])
def test_a_stray_quote_affects_one_row_of_a_thousand(title: str, missing: str) -> None:
    """Even if all others have an inch mark, with or without empty last fields."""
    text = table('"24 inch', *[title] * 999).replace(f"{missing}\n", "\n")

    assert len(read(text)) == 1000
    assert [place for place, _ in problems(text)] == ["line 2"]


@pytest.mark.parametrize("missing", [",Red", ",/a.jpg,Red"])
@pytest.mark.parametrize("category", ["Apparel", '"TVs, ""large"""'])
def test_quotes_and_missing_last_fields_can_be_combined(category: str, missing: str) -> None:
    """Both for inch marks and for quotes around a field."""
    text = table('27" TV').replace("Apparel > Skirts", category).replace(missing, "")

    assert [event["title"] for event in events(text)] == ['27" TV']


@pytest.mark.parametrize("line", ['sep="', "sep=", "sep= ", "sep=\\t", "sep=;;", '"sep="', "SEP=,;;;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_sep_line_without_a_delimiter_is_reported_in_one_sentence(
    tmp_path: Path, line: str, end: str
) -> None:
    """About that line rather than the header."""
    (tmp_path / "a.csv").write_text((f"\n{line}\n" + table("a")).replace("\n", end), newline="")

    with pytest.raises(UnreadableFile, match=r"a.csv: line 2: found '.*', expected sep= and one character"):
        checked(tmp_path / "a.csv")


def test_problems_name_the_file(tmp_path: Path) -> None:
    """And the line, in the detail of the dead letter."""
    (tmp_path / "a.csv").write_text(table("a", '"b'))

    (_, row) = read_rows(tmp_path / "a.csv", tmp_path)
    assert row.detail.startswith("a.csv line 3: a quote is misplaced or not closed")
