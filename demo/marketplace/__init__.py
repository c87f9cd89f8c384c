"""A synthetic marketplace: any number of listings with drawn photos, the same for the same seed."""

from demo.marketplace.folder import write_marketplace
from demo.marketplace.listings import ListingEvent, generate, photo_at, photos_at
from demo.marketplace.photos import PhotoSpec, draw_photo, encode_photo
from demo.marketplace.sales_history import events

__all__ = [
    "ListingEvent",
    "PhotoSpec",
    "draw_photo",
    "encode_photo",
    "events",
    "generate",
    "photo_at",
    "photos_at",
    "write_marketplace",
]
