"""Encodings of text files: declared, certain, or refused with a guess."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from indexer.errors import UnreadableFile
from indexer.intake.files import checked, read_rows
from indexer.intake.listing_map import NO_MAP, ListingMap
from indexer.intake.value_formats import ValueFormats, is_text_encoding
from tests.factories import make_event

TITLES = {
    "cp932": "赤いスカート ソニー製カメラ 表示 新品",
    "euc_jp": "赤いスカート ソニー製カメラ 表示 新品",
    "iso2022_jp": "赤いスカート",
    "cp1252": "Jupe crème brûlée",
    "utf-16": "赤いスカート",
    "utf-32": "赤いスカート",
    "utf-8-sig": "赤いスカート",
}
CSV = (
    "item_id,title,category,price,currency,seller_id,status,created_at,updated_at\n"
    "m1,{},Apparel > Skirts,1290,JPY,s1,on_sale,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z\n"
)


def declared(encoding: str | None) -> ListingMap:
    """Return a map that declares an encoding."""
    return ListingMap(formats=ValueFormats(encoding=encoding)) if encoding else NO_MAP


def write(folder: Path, suffix: str, encoding: str) -> Path:
    """Write a file with one listing whose title needs that encoding."""
    title = TITLES[encoding]
    line = json.dumps(make_event(title=title), ensure_ascii=False) + "\n"
    file = folder / f"a{suffix}"
    file.write_bytes((CSV.format(title) if suffix == ".csv" else line).encode(encoding))
    return file


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("encoding", TITLES)
def test_a_declared_encoding_is_used(tmp_path: Path, suffix: str, encoding: str) -> None:
    """All characters are read; a byte order mark is never part of the text."""
    file = write(tmp_path, suffix, encoding)

    assert checked(file, declared(encoding)).rows >= 1
    (row,) = read_rows(file, tmp_path, declared(encoding))
    assert row.event is not None
    assert row.event["title"] == TITLES[encoding]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_decides(tmp_path: Path, suffix: str, encoding: str) -> None:
    """With or without a declared encoding."""
    file = write(tmp_path, suffix, encoding)

    for other in (None, "cp932"):
        checked(file, declared(other))
        (row,) = read_rows(file, tmp_path, declared(other))
        assert row.event is not None
        assert row.event["title"] == TITLES[encoding]


@pytest.mark.parametrize(
    ("suffix", "encoding", "name"),
    [
        (".csv", "iso2022_jp", "iso2022_jp"),
        (".csv", "cp1252", "cp1252"),
        (".jsonl", "cp1252", "cp1252"),
    ],
)
def test_another_encoding_is_refused_with_its_name(
    tmp_path: Path, suffix: str, encoding: str, name: str
) -> None:
    """In one sentence with the option to pass, which then works."""
    file = write(tmp_path, suffix, encoding)

    with pytest.raises(UnreadableFile) as caught:
        checked(file)
    line = 2 if suffix == ".csv" else 1
    assert str(caught.value) == (
        f"{file}: line {line} is not utf-8; it looks like {name}: pass --encoding {name} if it is, "
        "or save it as UTF-8"
    )
    (row,) = read_rows(file, tmp_path, declared(name))
    assert row.event is not None
    assert row.event["title"] == TITLES[encoding]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
@pytest.mark.parametrize("encoding", ["cp932", "euc_jp"])
def test_japanese_with_kana_is_detected(tmp_path: Path, suffix: str, encoding: str) -> None:
    """Every character is that of the file; the summary of the check says which encoding it is."""
    file = write(tmp_path, suffix, encoding)

    assert checked(file).encoding == encoding
    (row,) = read_rows(file, tmp_path)
    assert row.event is not None
    assert row.event["title"] == TITLES[encoding]


@pytest.mark.parametrize(
    ("title", "encoding"),
    [
        ("東京限定新品", "cp932"),  # without kana, a Chinese text could have the same bytes
        ("東京限定新品", "euc_jp"),
        ("红色连衣裙全新", "gb18030"),
        ("빨간 치마 새 상품", "cp949"),
        ("紅色裙子全新", "big5"),
        ("Jupe crème brûlée", "latin-1"),
        ("Красная юбка", "cp1251"),
    ],
)
def test_what_could_be_another_encoding_is_not_detected(tmp_path: Path, title: str, encoding: str) -> None:
    """It is refused, and read once the encoding is declared."""
    file = tmp_path / "a.csv"
    file.write_bytes(CSV.format(title).encode(encoding))

    with pytest.raises(UnreadableFile, match=r"is not utf-8; .*pass --encoding"):
        checked(file)
    rules = declared(encoding)
    assert checked(file, rules).encoding is None
    (row,) = read_rows(file, tmp_path, rules)
    assert row.event is not None
    assert row.event["title"] == title


def test_a_character_that_a_detected_encoding_lacks_is_an_error(tmp_path: Path) -> None:
    """However far into the file: nothing is replaced."""
    file = tmp_path / "a.csv"
    good = CSV.format(TITLES["cp932"]).encode("cp932")
    file.write_bytes(good + good.splitlines(keepends=True)[1] * 3_000 + b"m2,\x81,\n")

    with pytest.raises(UnreadableFile, match="line 3003 is not cp932"):
        checked(file)


def test_utf_16_without_a_byte_order_mark_is_refused(tmp_path: Path) -> None:
    """Its ASCII characters are valid UTF-8 with NULs."""
    file = tmp_path / "a.csv"
    file.write_bytes(CSV.format("Red skirt").encode("utf-16-le"))

    with pytest.raises(UnreadableFile, match="it looks like utf_16_le: pass --encoding utf_16_le"):
        checked(file)
    checked(file, declared("utf-16-le"))


def test_a_wrong_declared_encoding_is_refused(tmp_path: Path) -> None:
    """Before anything is sent."""
    file = write(tmp_path, ".csv", "cp1252")

    with pytest.raises(UnreadableFile, match="line 2 is not euc_jp; it looks like cp1252"):
        checked(file, declared("euc_jp"))
    with pytest.raises(UnreadableFile, match=r"a\.csv: "):
        list(read_rows(file, tmp_path, declared("euc_jp")))


def test_only_the_damaged_line_of_json_is_rejected(tmp_path: Path) -> None:
    """The other lines are UTF-8, so the file is. The damaged bytes are shown."""
    good = json.dumps(make_event(title="赤い"), ensure_ascii=False).encode()
    file = tmp_path / "a.jsonl"
    file.write_bytes(good + b"\n" + good[:-40] + b"\xe8\n" + good + b"\n")

    assert checked(file).rows == 3
    first, second, third = read_rows(file, tmp_path)
    assert (first.event, third.event) == (third.event, first.event)
    assert (second.reason, second.raw[-4:]) == ("invalid_utf8", "\\xe8")
    assert second.detail.startswith("a.jsonl line 2: not UTF-8")


def test_text_is_kept_as_it_is(tmp_path: Path) -> None:
    """Also a NUL or a replacement character that a producer wrote."""
    file = tmp_path / "a.csv"
    file.write_text(CSV.format("a\0b\ufffdc"), encoding="utf-8")

    checked(file)
    (row,) = read_rows(file, tmp_path)
    assert row.event is not None
    assert row.event["title"] == "a\0b\ufffdc"


def test_encodings_of_text_are_known() -> None:
    """`hex` and `rot13` are Python codecs, but not text encodings."""
    assert all(map(is_text_encoding, ["cp932", "Shift_JIS", "latin-1", "utf-8"]))
    assert not any(map(is_text_encoding, ["hex", "rot13", "nothing"]))
