"""What each type of item looks like, before colour."""

from collections.abc import Callable

from demo.marketplace.shapes import Form, Marks
from demo.marketplace.silhouettes import apparel, carried, electronics, home, play

Silhouette = Callable[[Form], Marks]

SILHOUETTES: dict[str, Silhouette] = {
    "t-shirt": apparel.t_shirt,
    "shirt": apparel.shirt,
    "sweater": apparel.sweater,
    "hoodie": apparel.hoodie,
    "jacket": apparel.jacket,
    "coat": apparel.coat,
    "dress": apparel.dress,
    "skirt": apparel.skirt,
    "trousers": apparel.trousers,
    "shorts": apparel.shorts,
    "cap": apparel.cap,
    "beanie": apparel.beanie,
    "scarf": carried.scarf,
    "backpack": carried.backpack,
    "tote": carried.tote,
    "handbag": carried.handbag,
    "wallet": carried.wallet,
    "sneakers": carried.sneakers,
    "boots": carried.boots,
    "heels": carried.heels,
    "sandals": carried.sandals,
    "mug": home.mug,
    "plate": home.plate,
    "vase": home.vase,
    "lamp": home.lamp,
    "chair": home.chair,
    "sofa": home.sofa,
    "cushion": home.cushion,
    "clock": home.clock,
    "poster": home.poster,
    "phone": electronics.phone,
    "headphones": electronics.headphones,
    "watch": electronics.watch,
    "camera": electronics.camera,
    "controller": electronics.controller,
    "plush": play.plush,
    "ball": play.ball,
    "toy car": play.toy_car,
    "blocks": play.blocks,
    "guitar": play.guitar,
    "umbrella": carried.umbrella,
}
