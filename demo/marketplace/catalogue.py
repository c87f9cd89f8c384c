"""What is sold: types of item, invented brands, colours and conditions, as data."""

from dataclasses import dataclass
from typing import Literal, cast

from demo.marketplace.patterns import Rgb

BrandGroup = Literal["fashion", "shoes", "home", "tech", "toys"]
Sizing = Literal["clothes", "shoes", "none"]

PATTERN_SETS: dict[str, str] = {
    "cloth": "plain, plain, plain, stripes, pinstripes, checks, tartan, dots, floral, camouflage, zigzag, "
    "stars, colour block",
    "tailored": "plain, plain, plain, pinstripes, checks, tartan, camouflage",
    "graphic": "plain, plain, stripes, logo, logo, dots, floral, camouflage, stars, gradient, colour block",
    "leather": "plain, plain, plain, plain, checks, logo, dots",
    "ceramic": "plain, plain, stripes, dots, floral, gradient, checks, zigzag",
    "hard": "plain, plain, plain, gradient",
    "toy": "plain, plain, plain, dots, stars, gradient",
    "ribbed": "plain, plain, stripes, zigzag, colour block",
    "canvas": "plain, plain, plain, camouflage, checks, gradient, floral",
    "boot": "plain, plain, plain, tartan",
    "pump": "plain, plain, dots, floral",
    "strap": "plain, plain, stripes, floral",
    "seat": "plain, plain, stripes, checks, floral",
    "sofa": "plain, plain, plain, stripes, checks, floral",
    "print": "plain, gradient, stripes, dots, checks",
    "pad": "plain, plain, gradient, camouflage",
    "rubber": "plain, plain, gradient, dots",
}
"""Patterns of a kind of surface; those that are named more than once are drawn more often."""
GENDERS = {"all": ("Women", "Men", "Unisex"), "women": ("Women",), "-": ()}


@dataclass(frozen=True)
class ItemType:
    """A kind of thing: its names, place in the category tree and usual price new, in yen.

    `popularity` is its share of all designs, in parts; `print_height` is where its logo is, 0 the top.
    """

    name: str
    english: str
    japanese: str
    category: tuple[str, ...]
    yen: int
    brands: BrandGroup
    patterns: tuple[str, ...]
    sizing: Sizing
    genders: tuple[str, ...]
    popularity: int
    print_height: float


TABLE = """
t shirt; T-shirt; Tシャツ; Apparel/Topwear/T-shirts; 3200; 9; fashion; graphic; clothes, all
shirt; shirt; シャツ; Apparel/Topwear/Shirts; 5600; 6; fashion; cloth; clothes, all
sweater; sweater; ニット セーター; Apparel/Topwear/Knitwear/Sweaters; 6400; 4; fashion; cloth; clothes, all
hoodie; hoodie; パーカー; Apparel/Topwear/Sweatshirts/Hoodies; 6900; 5; fashion; graphic; clothes, all
jacket; jacket; ジャケット; Apparel/Outerwear/Jackets; 12800; 4; fashion; tailored; clothes, all
coat; coat; コート; Apparel/Outerwear/Coats; 18800; 2; fashion; tailored; clothes, all
dress; dress; ワンピース; Apparel/Dresses; 7800; 6; fashion; cloth; clothes, women
skirt; skirt; スカート; Apparel/Bottomwear/Skirts; 4900; 5; fashion; cloth; clothes, women
trousers; trousers; パンツ; Apparel/Bottomwear/Trousers; 6200; 5; fashion; tailored; clothes, all
shorts; shorts; ショートパンツ; Apparel/Bottomwear/Shorts; 3600; 3; fashion; cloth; clothes, all
cap; cap; キャップ; Accessories/Headwear/Caps; 3400; 3; fashion; graphic; none, all, 0.42
beanie; beanie; ニット帽; Accessories/Headwear/Beanies; 2600; 2; fashion; ribbed; none, all
scarf; scarf; マフラー; Accessories/Scarves; 4200; 2; fashion; cloth; none, all
umbrella; umbrella; 傘; Accessories/Umbrellas; 2800; 2; fashion; cloth
backpack; backpack; リュック; Bags/Backpacks; 8900; 4; fashion; cloth; none, all
tote; tote bag; トートバッグ; Bags/Tote bags; 4800; 4; fashion; graphic; none, all, 0.66
handbag; handbag; ハンドバッグ; Bags/Handbags; 14800; 4; fashion; leather; none, women, 0.7
wallet; wallet; 財布; Bags/Small leather goods/Wallets; 7600; 3; fashion; leather; none, all, 0.5
sneakers; sneakers; スニーカー; Shoes/Sneakers; 9800; 7; shoes; canvas; shoes, all
boots; boots; ブーツ; Shoes/Boots; 13800; 3; shoes; boot; shoes, all
heels; heels; パンプス; Shoes/Heels; 8800; 3; shoes; pump; shoes, women
sandals; sandals; サンダル; Shoes/Sandals; 4600; 2; shoes; strap; shoes, all
mug; mug; マグカップ; Home/Kitchen/Tableware/Cups/Mugs; 1900; 4; home; ceramic
plate; plate; プレート 皿; Home/Kitchen/Tableware/Plates; 2200; 2; home; ceramic
vase; vase; 花瓶; Home/Decoration/Vases; 3800; 2; home; ceramic
lamp; table lamp; テーブルランプ; Home/Lighting/Table lamps; 6800; 2; home; ceramic
chair; chair; チェア 椅子; Home/Furniture/Chairs; 11800; 3; home; seat
sofa; sofa; ソファ; Home/Furniture/Sofas; 38000; 1; home; sofa
cushion; cushion; クッション; Home/Textiles/Cushions; 2400; 3; home; cloth
clock; wall clock; 掛け時計; Home/Decoration/Clocks; 4200; 2; home; hard
poster; framed art print; アートポスター 額入り; Art; 3600; 2; home; print
phone; smartphone; スマートフォン; Electronics/Phones/Smartphones; 42000; 4; tech; hard
headphones; headphones; ヘッドホン; Electronics/Audio/Headphones/Over-ear; 14800; 3; tech; hard
watch; watch; 腕時計; Electronics/Wearables/Watches; 16800; 4; tech; hard
camera; camera; カメラ; Electronics/Cameras; 36000; 3; tech; hard
controller; game controller; ゲームコントローラー; Electronics/Games/Controllers; 5800; 3; tech; pad
plush; plush toy; ぬいぐるみ; Toys/Plush; 2600; 5; toys; toy
ball; ball; ボール; Toys/Outdoor/Balls; 1800; 2; toys; rubber
toy car; toy car; ミニカー; Toys/Vehicles/Cars; 2200; 3; toys; toy
blocks; building blocks; 積み木; Toys/Building; 3200; 2; toys; toy
guitar; guitar; ギター; Music/Instruments/Guitars; 28000; 2; tech; hard
"""
"""Name, English, Japanese, category, yen, popularity, brands and pattern set; then sizing, genders and the
height of a logo where they are not the default."""


def _item_type(row: str) -> ItemType:
    name, english, japanese, category, yen, popularity, brands, patterns, *more = row.split("; ")
    given = more[0].split(", ") if more else []
    sizing, genders, height = (*given, *("none", "-", "0.47")[len(given) :])
    return ItemType(
        name=name,
        english=english,
        japanese=japanese,
        category=tuple(category.split("/")),
        yen=int(yen),
        brands=cast(BrandGroup, brands),
        patterns=tuple(PATTERN_SETS[patterns].split(", ")),
        sizing=cast(Sizing, sizing),
        genders=GENDERS[genders],
        popularity=int(popularity),
        print_height=float(height),
    )


TYPES = tuple(_item_type(row) for row in TABLE.strip().splitlines())


@dataclass(frozen=True)
class Brand:
    """An invented brand; `factor` multiplies the usual price of a type."""

    english: str
    japanese: str
    group: BrandGroup
    factor: float


BRANDS: tuple[Brand, ...] = (
    Brand("Plainfold", "プレインフォールド", "fashion", 0.6),
    Brand("Norrbay", "ノルベイ", "fashion", 0.8),
    Brand("Hinata Works", "ヒナタワークス", "fashion", 1.0),
    Brand("Kogarashi", "コガラシ", "fashion", 1.2),
    Brand("Milk & Thistle", "ミルクアンドシスル", "fashion", 1.4),
    Brand("Atelier Suzume", "アトリエスズメ", "fashion", 2.2),
    Brand("Vermeulle", "ヴェルミュル", "fashion", 4.5),
    Brand("Hayate", "ハヤテ", "shoes", 1.0),
    Brand("Trailfinch", "トレイルフィンチ", "shoes", 1.3),
    Brand("Kutsuya Nine", "クツヤナイン", "shoes", 0.7),
    Brand("Marlowe Last", "マーロウラスト", "shoes", 2.4),
    Brand("Yunomi Lane", "ユノミレーン", "home", 0.8),
    Brand("Hygglund", "ヒュグルンド", "home", 1.0),
    Brand("Tokoroya", "トコロヤ", "home", 1.3),
    Brand("Casa Ombra", "カーサオンブラ", "home", 2.3),
    Brand("Denkiba", "デンキバ", "tech", 0.7),
    Brand("Orbitel", "オービテル", "tech", 1.0),
    Brand("Kaminari", "カミナリ", "tech", 1.3),
    Brand("Lumenor", "ルメノール", "tech", 2.1),
    Brand("Mofumofu Club", "モフモフクラブ", "toys", 1.0),
    Brand("Tottoko", "トットコ", "toys", 0.7),
    Brand("Bramblewick", "ブランブルウィック", "toys", 1.8),
)

BRANDS_OF: dict[BrandGroup, tuple[Brand, ...]] = {
    group: tuple(brand for brand in BRANDS if brand.group == group)
    for group in ("fashion", "shoes", "home", "tech", "toys")
}


@dataclass(frozen=True)
class Colour:
    """A colour as a seller would name it, sRGB."""

    english: str
    japanese: str
    rgb: Rgb


COLOURS: tuple[Colour, ...] = (
    Colour("black", "ブラック", (38, 38, 42)),
    Colour("white", "ホワイト", (240, 240, 236)),
    Colour("grey", "グレー", (142, 145, 150)),
    Colour("navy", "ネイビー", (34, 46, 92)),
    Colour("blue", "ブルー", (42, 98, 190)),
    Colour("light blue", "ライトブルー", (142, 190, 226)),
    Colour("green", "グリーン", (46, 128, 78)),
    Colour("mint", "ミント", (154, 214, 190)),
    Colour("khaki", "カーキ", (108, 108, 66)),
    Colour("yellow", "イエロー", (238, 202, 62)),
    Colour("orange", "オレンジ", (228, 124, 44)),
    Colour("red", "レッド", (196, 42, 48)),
    Colour("burgundy", "ボルドー", (112, 30, 48)),
    Colour("pink", "ピンク", (238, 154, 176)),
    Colour("purple", "パープル", (120, 74, 158)),
    Colour("brown", "ブラウン", (120, 76, 46)),
    Colour("beige", "ベージュ", (214, 190, 154)),
)


@dataclass(frozen=True)
class Condition:
    """How worn an item is; `factor` multiplies its price new."""

    english: str
    japanese: str
    code: str
    factor: float


CONDITIONS: tuple[Condition, ...] = (
    Condition("new with tags", "新品タグ付き", "new", 0.85),
    Condition("like new", "未使用に近い", "like_new", 0.7),
    Condition("good condition", "美品", "good", 0.52),
    Condition("some signs of use", "やや傷や汚れあり", "fair", 0.36),
    Condition("well worn", "使用感あり", "worn", 0.22),
)
