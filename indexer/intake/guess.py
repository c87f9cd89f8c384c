"""A proposed map, from the columns and values of a source's first rows, for a person to read and correct."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Protocol

from console.text import cut
from indexer.errors import UnreadableSource
from indexer.intake.listing_map import NO_MAP, REQUIRED, ListingMap
from indexer.intake.row import Row

SAMPLE_ROWS: Final = 500

NAMES: Final[Mapping[str, str]] = {
    "item_id": (
        "itemid id sku productid listingid itemcode code 商品id 商品コード 商品番号 品番 管理番号 出品id"
    ),
    "title": ("title name productname itemname producttitle subject 商品名 タイトル 名称 品名 商品タイトル"),
    "category": (
        "category categories categorypath categoryname producttype カテゴリ カテゴリー 分類 商品カテゴリ"
    ),
    "price": ("price amount saleprice unitprice listprice 価格 販売価格 値段 金額 単価 税込価格 商品価格"),
    "currency": ("currency currencycode 通貨 通貨コード"),
    "seller_id": (
        "sellerid seller shopid userid vendor vendorid storeid merchant "
        "出品者 出品者id 店舗id ショップid 販売者"
    ),
    "status": ("status state availability salestatus 状態 ステータス 販売状態 販売状況 公開状態 出品状態"),
    "created_at": (
        "createdat created createddate listedat publishedat 登録日 登録日時 作成日時 出品日 出品日時"
    ),
    "updated_at": (
        "updatedat updated modifiedat modified lastmodified updatetime 更新日 更新日時 最終更新日時"
    ),
    "images": (
        "images image imageurl imageurls photo photos photourl picture 画像 画像url 写真 商品画像 商品画像url"
    ),
    "popularity": (
        "popularity likes favorites favourites views likecount いいね いいね数 お気に入り数 閲覧数"
    ),
    "attributes.colour": ("colour color 色 カラー"),
    "attributes.brand": ("brand maker manufacturer ブランド ブランド名 メーカー"),
    "attributes.size": ("size サイズ 寸法"),
    "attributes.gender": ("gender sex 性別"),
    "attributes.condition": ("condition itemcondition 商品の状態 コンディション"),
    "attributes.material": ("material fabric 素材 材質"),
}
"""Field to the names that its column often has, in the form of `plain`."""

WORDS: Final[Mapping[str, str]] = {
    "on_sale": (
        "onsale active available forsale instock live listed published open "
        "販売中 出品中 公開 公開中 在庫あり"
    ),
    "reserved": ("reserved trading pending onhold intransaction 取引中 予約済 予約済み 取り置き 商談中"),
    "sold_out": (
        "soldout sold outofstock completed closed "
        "売切 売切れ 売り切れ 完売 販売済み 取引完了 在庫なし 売却済み"
    ),
    "removed": (
        "removed deleted inactive hidden draft withdrawn archived suspended "
        "削除 削除済み 非公開 停止中 公開停止 下書き"
    ),
}
"""Status to the words that stand for it, in the form of `plain`."""

_UNZONED = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d?[ T]\d\d?:\d\d(:\d\d(\.\d+)?)?")
_GROUPED = re.compile(r"\d{1,3}([.,]\d{3})+([.,]\d+)?")
_SEPARATORS: Final = (">", "›", "»", "/", "|", "\\", ":")


class Sampled(Protocol):
    """A source of which rows can be looked at."""

    @property
    def name(self) -> str:
        """The source in messages."""

    def sample(self, rules: ListingMap) -> Iterator[Row]:
        """Yield rows by column."""


class EveryColumn(ListingMap):
    """A map that reads all columns."""

    def reads(self, column: str) -> bool:  # noqa: ARG002
        """Return True."""
        return True


@dataclass
class Sample:
    """The columns of the first rows, with their values that are not empty."""

    columns: dict[str, list[Any]] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    """Column to its field."""

    def of(self, name: str) -> list[Any]:
        """Return the values of the column of a field."""
        return next((self.columns[column] for column, each in self.fields.items() if each == name), [])


def guessed_map(source: Sampled, rules: ListingMap = NO_MAP) -> str:
    """Return a map for a source as TOML with comments.

    Raises:
        UnreadableSource: it cannot be read.
    """
    sample = sample_of(source.sample(EveryColumn(formats=rules.formats)))
    if not sample.columns:
        raise UnreadableSource(
            f"{source.name}: no row in the first {SAMPLE_ROWS} can be read; pass --encoding"
        )
    sample.fields = fields_of(list(sample.columns))
    lines = [
        f"# A map for {_one_line(source.name)}, proposed from its first rows.",
        "# Check each line, then pass it with --map.",
        *_columns(sample),
        *_status(sample),
        *_constants(sample),
        *_templates(sample),
        *_formats(sample, rules),
    ]
    return "\n".join(lines) + "\n"


def sample_of(rows: Iterable[Row]) -> Sample:
    """Return the columns of the first rows."""
    sample = Sample()
    for row in islice(rows, SAMPLE_ROWS):
        for column, value in (row.event or {}).items():
            values = sample.columns.setdefault(str(column), [])
            values.extend([value] if value not in (None, "") else [])
    return sample


def plain(name: object) -> str:
    """Return the name in lower case, without width, spaces and punctuation: `Ｉｔｅｍ ID` is `itemid`."""
    text = unicodedata.normalize("NFKC", str(name)).casefold()
    return "".join(character for character in text if character.isalnum())


def fields_of(columns: Sequence[str]) -> dict[str, str]:
    """Return columns to their fields: for each field the column whose name fits best."""
    found: dict[str, str] = {}
    for name, synonyms in NAMES.items():
        words = [plain(name.rpartition(".")[2]), *synonyms.split()]
        fitting = [column for column in columns if plain(column) in words and column not in found]
        exact = [column for column in columns if NO_MAP.field_of(column) == name]
        if best := exact or sorted(fitting, key=lambda column: words.index(plain(column))):
            found[best[0]] = name
    return found | {column: column for column in columns if NO_MAP.field_of(column).startswith("attributes.")}


def status_of(word: object) -> str | None:
    """Return the status that a word stands for, if it is known."""
    return next((status for status, words in WORDS.items() if plain(word) in words.split()), None)


def _columns(sample: Sample) -> Iterator[str]:
    yield "\n[columns]"
    yield "# column = field; `ignore` for one that is not read"
    for column, values in sample.columns.items():
        name = sample.fields.get(column)
        example = f"  # {_comment(values[0])}" if values else ""
        line = f"{quoted(column)} = {quoted(name or f'attributes.{_attribute(column)}')}{example}"
        if not (name and NO_MAP.field_of(column) == name):
            yield line if name else f"# {line}"


def _status(sample: Sample) -> Iterator[str]:
    words = Counter(str(value).strip() for value in sample.of("status"))
    known = {"on_sale", "reserved", "sold_out", "removed"}
    yield "\n[status]"
    yield "# word = on_sale, reserved, sold_out or removed"
    for word, _ in words.most_common(20):
        if word.lower() not in known:
            status = status_of(word)
            yield f"{quoted(word)} = {quoted(status)}" if status else f'# {quoted(word)} = "on_sale"'


def _constants(sample: Sample) -> Iterator[str]:
    defaults = {
        "category": '["Other"]',
        "currency": '"JPY"',
        "seller_id": '"shop"',
        "status": '"on_sale"',
        "created_at": '"2026-01-01T00:00:00Z"',
        "updated_at": '"2026-01-01T00:00:00Z"',
    }
    yield "\n[constants]"
    yield "# field = the value of rows that have none"
    for name in REQUIRED:
        if name not in sample.fields.values():
            yield f"# {name} = {defaults.get(name, quoted('…'))}  # no column was found"


def _templates(sample: Sample) -> Iterator[str]:
    yield "\n[templates]"
    yield "# field = a text with columns or fields in braces"
    if not sample.of("images"):
        yield '# images = "https://example.com/photos/{item_id}.jpg"'


def _formats(sample: Sample, rules: ListingMap) -> Iterator[str]:
    yield "\n[formats]"
    if rules.formats.encoding:
        yield f"encoding = {quoted(rules.formats.encoding)}"
    categories = [value for value in sample.of("category") if isinstance(value, str)]
    counts = Counter(each for value in categories for each in _SEPARATORS if each in value)
    common = counts.most_common(1)[0][0] if counts else ">"
    if common != ">":
        yield f"category_separator = {quoted(common)}  # {_comment(categories[0])}"
    if any(_GROUPED.fullmatch(str(value).strip()) for value in sample.of("price") if isinstance(value, str)):
        yield '# locale = "en"  # or "de": of prices such as 1,290 or 1.290'
    times = [str(value).strip() for name in ("created_at", "updated_at") for value in sample.of(name)]
    if any(map(_UNZONED.fullmatch, times)):
        yield '# timezone = "Asia/Tokyo"  # of times without one'


def _attribute(column: str) -> str:
    """Return the column as the name of an attribute, which has no point."""
    return column.replace(".", " ")[:64]


def quoted(text: str) -> str:
    """Return the text as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(value: object) -> str:
    return _one_line(cut(str(value), 60))


def _one_line(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
