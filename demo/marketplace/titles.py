"""Titles as sellers write them, in English and Japanese."""

from random import Random

from demo.marketplace.catalogue import Condition
from demo.marketplace.designs import Design
from demo.marketplace.patterns import PATTERNS

JAPANESE_SHARE = 0.55
BUYERS_ENGLISH = ("Emma", "Yuki", "Noah", "Hana", "Liam", "Mika", "Sora", "Olivia", "Ken", "Aya")
BUYERS_JAPANESE = (
    "ゆき", "はな", "みか", "そら", "あやの", "けん", "りん", "まいまい", "tomo",
    "さくら", "ひろ", "ねこすけ",
)  # fmt: skip
GENDERS_JAPANESE = {"Women": "レディース", "Men": "メンズ", "Unisex": "ユニセックス", "": ""}
GENDERS_ENGLISH = {"Women": "women's", "Men": "men's", "Unisex": "unisex", "": ""}
TWO_TONE = ("colour block", "gradient")
ADJECTIVES = {
    "stripes": "striped",
    "pinstripes": "pinstriped",
    "checks": "gingham",
    "dots": "polka dot",
    "stars": "star print",
}
TAILS_ENGLISH = (
    "", "", "", "", "free shipping", "smoke-free home", "bought last year", "final price", "rare",
)  # fmt: skip
TAILS_JAPANESE = ("", "", "", "", "送料込み", "匿名配送", "即日発送", "最終値下げ", "レア", "数量限定")


def title(design: Design, size: str, condition: Condition, rng: Random) -> str:
    """Return a listing's title: type and colour nearly always, the rest at random."""
    if rng.random() < JAPANESE_SHARE:
        return _japanese(design, size, condition, rng)
    return _english(design, size, condition, rng)


def reserved_title(rng: Random) -> str:
    """Return a title that reserves the listing for a buyer and does not describe the item."""
    if rng.random() < JAPANESE_SHARE:
        return rng.choice(BUYERS_JAPANESE) + rng.choice(
            ("様専用", "様 専用", "様専用ページ", "様専用 おまとめ")
        )
    return rng.choice(("Reserved for {}", "Listing for {}", "{} only, please")).format(
        rng.choice(BUYERS_ENGLISH)
    )


def _english(design: Design, size: str, condition: Condition, rng: Random) -> str:
    gender = GENDERS_ENGLISH[design.gender] if rng.random() < 0.4 else ""
    colour = design.colour.english if rng.random() < 0.9 else ""
    if colour and design.pattern in TWO_TONE:
        colour += f" and {design.second.english}"
    words = (gender, colour, _pattern_english(design), design.item_type.english)
    things = " ".join(word for word in words if word)
    named = f"{design.brand.english} {things}" if rng.random() < 0.75 else things[0].upper() + things[1:]
    extras = (
        f"size {size}" if size else "",
        condition.english if rng.random() < 0.45 else "",
        rng.choice(TAILS_ENGLISH),
    )
    return ", ".join(part for part in (named, *extras) if part)


def _pattern_english(design: Design) -> str:
    return "" if design.pattern == "plain" else ADJECTIVES.get(design.pattern, design.pattern)


def _japanese(design: Design, size: str, condition: Condition, rng: Random) -> str:
    worn = f"【{condition.japanese}】" if rng.random() < 0.4 else ""
    words = (
        design.brand.japanese if rng.random() < 0.5 else design.brand.english if rng.random() < 0.5 else "",
        GENDERS_JAPANESE[design.gender] if rng.random() < 0.35 else "",
        PATTERNS[design.pattern].japanese if design.pattern != "plain" or rng.random() < 0.15 else "",
        design.item_type.japanese,
        design.colour.japanese if rng.random() < 0.9 else "",
        _size_japanese(size),
        rng.choice(TAILS_JAPANESE),
    )
    return worn + " ".join(word for word in words if word)


def _size_japanese(size: str) -> str:
    if not size:
        return ""
    return size if size.endswith("cm") else f"{size}サイズ"
