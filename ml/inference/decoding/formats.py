"""Detection of a photo's format from its content."""

import re
from typing import Final, Literal

from ml.inference.decoding.boxes import brands, primary_item
from ml.inference.decoding.errors import FORMATS, UnusablePhoto, unsupported

Format = Literal["JPEG", "PNG", "WebP", "GIF", "BMP", "HEIC", "AVIF"]

SIGNATURES: Final[tuple[tuple[bytes, Format], ...]] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
)
"""First bytes of supported formats without a container."""

OTHER_SIGNATURES: Final = (
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (8, b"CR\x02\x00", "CR2 raw photo"),
    (0, b"II*\x00", "TIFF or a raw photo (DNG, NEF, ARW)"),
    (0, b"MM\x00*", "TIFF or a raw photo (DNG, NEF, ARW)"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"IIU\x00", "RW2 raw photo"),
    (0, b"IIRO", "ORF raw photo"),
    (0, b"FUJIFILM", "RAF raw photo"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\x00\x00\x01\x00", "icon"),
    (0, b"\x00\x00\x02\x00", "cursor"),
    (0, b"icns", "icon"),
    (0, b"\x8aMNG", "MNG"),
    (0, b"BPG\xfb", "BPG"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska video"),
    (4, b"moov", "MOV video"),
    (4, b"mdat", "MOV video"),
    (4, b"wide", "MOV video"),
)
"""Unsupported formats by offset and signature, so that the message names the format to convert."""

NOT_IMAGES: Final = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
)
"""Signatures of files that are not images."""

RIFF_KINDS: Final = {b"AVI ": "AVI video", b"WAVE": "WAV audio"}
"""Unsupported kinds of RIFF files."""

HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
HEIF_BRANDS: Final = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})

OTHER_BRANDS: Final = {b"qt": "MOV video", b"crx": "CR3 raw photo", b"jxl": "JPEG XL", b"M4A": "M4A audio"}
"""Unsupported brands of ISO base media files; all others are MP4."""

HEIC_ITEMS: Final = frozenset({b"hvc1", b"hev1"})
"""Primary item types that identify a HEIC whose brands only declare HEIF."""

TEXT_ENCODINGS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""Byte order marks and the encodings that they declare."""

PROLOG: Final = re.compile(
    r"\s+|<\?.*?\?>|<!--.*?-->|<!doctype[^>\[]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE
)
"""White space, declarations, comments and the doctype before the root element."""
ROOT: Final = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)")
"""The root element."""

HEAD_BYTES: Final = 256
"""Enough bytes for every signature, and for the brands of a HEIF file."""


def photo_format(data: bytes) -> Format:
    """The format of a file, by its first bytes.

    Raises:
        UnusablePhoto: `photo_unsupported` for other image, video and audio formats, `photo_not_an_image` for
            all else.
    """
    for signature, kind in SIGNATURES:
        if data.startswith(signature):
            return kind
    if data.startswith(b"RIFF"):
        return riff_format(data)
    if data[4:8] == b"ftyp":
        return media_format(data)
    for offset, signature, name in OTHER_SIGNATURES:
        if data.startswith(signature, offset):
            raise unsupported(name)
    raise not_an_image(data)


def head_format(head: bytes) -> Format | None:
    """The format of a file, by its first HEAD_BYTES; None if it is not a supported photo.

    HEIC for a HEIF file whose brands do not declare the coding, which is stored further on.
    """
    try:
        return photo_format(head)
    except UnusablePhoto:
        general = head[4:8] == b"ftyp" and not HEIF_BRANDS.isdisjoint(brands(head))
        return "HEIC" if general else None


def riff_format(data: bytes) -> Format:
    """The format of a RIFF file.

    Raises:
        UnusablePhoto: it is not WebP.
    """
    if name := RIFF_KINDS.get(data[8:12]):
        raise unsupported(name)
    if data[8:12] != b"WEBP":
        raise not_an_image(data)
    return "WebP"


def media_format(data: bytes) -> Format:
    """The format of a file that starts with an ftyp box, by its brands and its primary item.

    Raises:
        UnusablePhoto: it is neither HEIC nor AVIF.
    """
    found = brands(data)
    for brand in found:
        if brand in AVIF_BRANDS:
            return "AVIF"
        if brand in HEIC_BRANDS:
            return "HEIC"
    if HEIF_BRANDS.isdisjoint(found):
        raise unsupported(OTHER_BRANDS.get(found[0].strip(b" \x00"), "MP4 video"))
    item = primary_item(data)
    coding = item.kind if item else b""
    if coding not in HEIC_ITEMS:
        raise unsupported(f"HEIF that holds {coding.decode('ascii', 'backslashreplace') or 'no image'}")
    return "HEIC"


def not_an_image(data: bytes) -> UnusablePhoto:
    """The error for bytes of no known image or video format; it names what they are instead."""
    expected = f"an image in one of {', '.join(FORMATS)}"
    for signature, name in NOT_IMAGES:
        if data.startswith(signature):
            return UnusablePhoto("photo_not_an_image", name, expected)
    text = text_name(data[:4096])
    if text == "SVG":
        return unsupported("SVG")
    found = f"{text}, " if text else ""
    return UnusablePhoto(
        "photo_not_an_image", f"{found}bytes that start with {data[:16].decode('latin-1')!r}", expected
    )


def text_name(head: bytes) -> str | None:
    """The kind of text, by its first bytes: SVG, an HTML page, XML or JSON; None if unknown."""
    encoding = next((name for sign, name in TEXT_ENCODINGS if head.startswith(sign)), "latin-1")
    text = head.decode(encoding, "ignore").lstrip()
    if text.startswith(("{", "[")):
        return "JSON"
    if not text.startswith("<"):
        return None
    start = 0
    while found := PROLOG.match(text, start):
        start = found.end()
    root = ROOT.match(text, start)
    if root is None:
        return None
    name = root[1].lower()
    if name == "svg":
        return "SVG"
    html = (
        name in {"html", "head", "body", "title", "center", "h1"} or "<!doctype html" in text[:start].lower()
    )
    return "an HTML page" if html else "XML"
