"""What is sold: types of item, invented brands, colours and conditions, as data."""

from dataclasses import dataclass
from typing import Literal

from demo.marketplace.patterns import PatternName, Rgb

BrandGroup = Literal["fashion", "shoes", "home", "tech", "toys"]
Sizing = Literal["clothes", "shoes", "none"]

CLOTH: tuple[PatternName, ...] = (
    "plain", "plain", "plain", "stripes", "pinstripes", "checks", "tartan", "dots", "floral", "camouflage",
    "zigzag", "stars", "colour block",
)  # fmt: skip
TAILORED: tuple[PatternName, ...] = (
    "plain", "plain", "plain", "pinstripes", "checks", "tartan", "camouflage",
)  # fmt: skip
GRAPHIC: tuple[PatternName, ...] = (
    "plain", "plain", "stripes", "logo", "logo", "dots", "floral", "camouflage", "stars", "gradient",
    "colour block",
)  # fmt: skip
LEATHER: tuple[PatternName, ...] = ("plain", "plain", "plain", "plain", "checks", "logo", "dots")
CERAMIC: tuple[PatternName, ...] = (
    "plain", "plain", "stripes", "dots", "floral", "gradient", "checks", "zigzag",
)  # fmt: skip
HARD: tuple[PatternName, ...] = ("plain", "plain", "plain", "gradient")
TOY: tuple[PatternName, ...] = ("plain", "plain", "plain", "dots", "stars", "gradient")


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
    patterns: tuple[PatternName, ...]
    sizing: Sizing = "none"
    genders: tuple[str, ...] = ()
    popularity: int = 3
    print_height: float = 0.47


ALL = ("Women", "Men", "Unisex")
WOMEN = ("Women",)

TYPES: tuple[ItemType, ...] = (
    ItemType(
        "t-shirt", "T-shirt", "Tシャツ", ("Apparel", "Topwear", "T-shirts"), 3200,
        "fashion", GRAPHIC, "clothes", genders=ALL, popularity=9,
    ),
    ItemType(
        "shirt", "shirt", "シャツ", ("Apparel", "Topwear", "Shirts"), 5600,
        "fashion", CLOTH, "clothes", genders=ALL, popularity=6,
    ),
    ItemType(
        "sweater", "sweater", "ニット セーター", ("Apparel", "Topwear", "Knitwear", "Sweaters"), 6400,
        "fashion", CLOTH, "clothes", genders=ALL, popularity=4,
    ),
    ItemType(
        "hoodie", "hoodie", "パーカー", ("Apparel", "Topwear", "Sweatshirts", "Hoodies"), 6900,
        "fashion", GRAPHIC, "clothes", genders=ALL, popularity=5,
    ),
    ItemType(
        "jacket", "jacket", "ジャケット", ("Apparel", "Outerwear", "Jackets"), 12800,
        "fashion", TAILORED, "clothes", genders=ALL, popularity=4,
    ),
    ItemType(
        "coat", "coat", "コート", ("Apparel", "Outerwear", "Coats"), 18800,
        "fashion", TAILORED, "clothes", genders=ALL, popularity=2,
    ),
    ItemType(
        "dress", "dress", "ワンピース", ("Apparel", "Dresses"), 7800,
        "fashion", CLOTH, "clothes", genders=WOMEN, popularity=6,
    ),
    ItemType(
        "skirt", "skirt", "スカート", ("Apparel", "Bottomwear", "Skirts"), 4900,
        "fashion", CLOTH, "clothes", genders=WOMEN, popularity=5,
    ),
    ItemType(
        "trousers", "trousers", "パンツ", ("Apparel", "Bottomwear", "Trousers"), 6200,
        "fashion", TAILORED, "clothes", genders=ALL, popularity=5,
    ),
    ItemType(
        "shorts", "shorts", "ショートパンツ", ("Apparel", "Bottomwear", "Shorts"), 3600,
        "fashion", CLOTH, "clothes", genders=ALL, popularity=3,
    ),
    ItemType(
        "cap", "cap", "キャップ", ("Accessories", "Headwear", "Caps"), 3400,
        "fashion", GRAPHIC, genders=ALL, popularity=3, print_height=0.42,
    ),
    ItemType(
        "beanie", "beanie", "ニット帽", ("Accessories", "Headwear", "Beanies"), 2600,
        "fashion", ("plain", "plain", "stripes", "zigzag", "colour block"), genders=ALL, popularity=2,
    ),
    ItemType(
        "scarf", "scarf", "マフラー", ("Accessories", "Scarves"), 4200,
        "fashion", CLOTH, genders=ALL, popularity=2,
    ),
    ItemType(
        "umbrella", "umbrella", "傘", ("Accessories", "Umbrellas"), 2800,
        "fashion", CLOTH, popularity=2,
    ),
    ItemType(
        "backpack", "backpack", "リュック", ("Bags", "Backpacks"), 8900,
        "fashion", CLOTH, genders=ALL, popularity=4, print_height=0.47,
    ),
    ItemType(
        "tote", "tote bag", "トートバッグ", ("Bags", "Tote bags"), 4800,
        "fashion", GRAPHIC, genders=ALL, popularity=4, print_height=0.66,
    ),
    ItemType(
        "handbag", "handbag", "ハンドバッグ", ("Bags", "Handbags"), 14800,
        "fashion", LEATHER, genders=WOMEN, popularity=4, print_height=0.7,
    ),
    ItemType(
        "wallet", "wallet", "財布", ("Bags", "Small leather goods", "Wallets"), 7600,
        "fashion", LEATHER, genders=ALL, popularity=3, print_height=0.5,
    ),
    ItemType(
        "sneakers", "sneakers", "スニーカー", ("Shoes", "Sneakers"), 9800,
        "shoes", ("plain", "plain", "plain", "camouflage", "checks", "gradient", "floral"), "shoes",
        genders=ALL, popularity=7,
    ),
    ItemType(
        "boots", "boots", "ブーツ", ("Shoes", "Boots"), 13800,
        "shoes", ("plain", "plain", "plain", "tartan"), "shoes", genders=ALL, popularity=3,
    ),
    ItemType(
        "heels", "heels", "パンプス", ("Shoes", "Heels"), 8800,
        "shoes", ("plain", "plain", "dots", "floral"), "shoes", genders=WOMEN, popularity=3,
    ),
    ItemType(
        "sandals", "sandals", "サンダル", ("Shoes", "Sandals"), 4600,
        "shoes", ("plain", "plain", "stripes", "floral"), "shoes", genders=ALL, popularity=2,
    ),
    ItemType(
        "mug", "mug", "マグカップ", ("Home", "Kitchen", "Tableware", "Cups", "Mugs"), 1900,
        "home", CERAMIC, popularity=4,
    ),
    ItemType(
        "plate", "plate", "プレート 皿", ("Home", "Kitchen", "Tableware", "Plates"), 2200,
        "home", CERAMIC, popularity=2,
    ),
    ItemType(
        "vase", "vase", "花瓶", ("Home", "Decoration", "Vases"), 3800,
        "home", CERAMIC, popularity=2,
    ),
    ItemType(
        "lamp", "table lamp", "テーブルランプ", ("Home", "Lighting", "Table lamps"), 6800,
        "home", CERAMIC, popularity=2,
    ),
    ItemType(
        "chair", "chair", "チェア 椅子", ("Home", "Furniture", "Chairs"), 11800,
        "home", ("plain", "plain", "stripes", "checks", "floral"), popularity=3,
    ),
    ItemType(
        "sofa", "sofa", "ソファ", ("Home", "Furniture", "Sofas"), 38000,
        "home", ("plain", "plain", "plain", "stripes", "checks", "floral"), popularity=1,
    ),
    ItemType(
        "cushion", "cushion", "クッション", ("Home", "Textiles", "Cushions"), 2400,
        "home", CLOTH, popularity=3,
    ),
    ItemType(
        "clock", "wall clock", "掛け時計", ("Home", "Decoration", "Clocks"), 4200,
        "home", HARD, popularity=2,
    ),
    ItemType(
        "poster", "framed art print", "アートポスター 額入り", ("Art",), 3600,
        "home", ("plain", "gradient", "stripes", "dots", "checks"), popularity=2,
    ),
    ItemType(
        "phone", "smartphone", "スマートフォン", ("Electronics", "Phones", "Smartphones"), 42000,
        "tech", HARD, popularity=4,
    ),
    ItemType(
        "headphones", "headphones", "ヘッドホン", ("Electronics", "Audio", "Headphones", "Over-ear"), 14800,
        "tech", HARD, popularity=3,
    ),
    ItemType(
        "watch", "watch", "腕時計", ("Electronics", "Wearables", "Watches"), 16800,
        "tech", HARD, popularity=4,
    ),
    ItemType(
        "camera", "camera", "カメラ", ("Electronics", "Cameras"), 36000,
        "tech", HARD, popularity=3,
    ),
    ItemType(
        "controller", "game controller", "ゲームコントローラー",
        ("Electronics", "Games", "Controllers"), 5800,
        "tech", ("plain", "plain", "gradient", "camouflage"), popularity=3,
    ),
    ItemType(
        "plush", "plush toy", "ぬいぐるみ", ("Toys", "Plush"), 2600,
        "toys", TOY, popularity=5,
    ),
    ItemType(
        "ball", "ball", "ボール", ("Toys", "Outdoor", "Balls"), 1800,
        "toys", ("plain", "plain", "gradient", "dots"), popularity=2,
    ),
    ItemType(
        "toy car", "toy car", "ミニカー", ("Toys", "Vehicles", "Cars"), 2200,
        "toys", TOY, popularity=3,
    ),
    ItemType(
        "blocks", "building blocks", "積み木", ("Toys", "Building"), 3200,
        "toys", TOY, popularity=2,
    ),
    ItemType(
        "guitar", "guitar", "ギター", ("Music", "Instruments", "Guitars"), 28000,
        "tech", HARD, popularity=2,
    ),
)  # fmt: skip

TYPES_BY_NAME = {item_type.name: item_type for item_type in TYPES}


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
