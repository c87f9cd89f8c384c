"""Unsupported formats are named, so that a seller knows what to convert."""

from __future__ import annotations

import pytest

from ml.inference.decoding.errors import UnusablePhoto
from ml.inference.decoding.formats import photo_format
from tests.pictures import box, ftyp

SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>"
DOCTYPE = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd" [ <!ENTITY a "b"> ]>'


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + ftyp(b"jxl "), "JPEG XL"),
        (ftyp(b"jxl "), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + ftyp(b"jp2 "), "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0\x29", "JPEG 2000"),
        (b"II\xbc\x01\x20\0\0\0", "JPEG XR"),
        (SVG.encode(), "SVG"),
        (b"\xef\xbb\xbf\n  " + SVG.encode(), "SVG"),
        (("\ufeff" + SVG).encode("utf-16-le"), "SVG"),
        (("\ufeff" + SVG).encode("utf-16-be"), "SVG"),
        (f'<?xml version="1.0"?>\n<!-- by a <html> editor -->\n{DOCTYPE}\n{SVG}'.encode(), "SVG"),
        (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'>", "SVG"),
        (b"<SVG>", "SVG"),
        (ftyp(b"isom", [b"iso2", b"avc1", b"mp41"]), "MP4 video"),
        (ftyp(b"mp42"), "MP4 video"),
        (ftyp(b"3gp4"), "MP4 video"),
        (ftyp(b"qt  "), "MOV video"),
        (box(b"wide") + box(b"mdat"), "MOV video"),
        (box(b"moov", box(b"mvhd")), "MOV video"),
        (ftyp(b"crx ", [b"crx ", b"isom"]), "CR3 raw photo"),
        (ftyp(b"M4A "), "M4A audio"),
        (ftyp(b"mif1", [b"mif1"]), "HEIF that holds no image"),
        (b"\x1a\x45\xdf\xa3", "WebM or Matroska video"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI video"),
        (b"RIFF\0\0\0\0WAVEfmt ", "WAV audio"),
        (b"II*\0\x10\0\0\0CR\x02\0", "CR2 raw photo"),
        (b"II*\0\x08\0\0\0", "TIFF or a raw photo (DNG, NEF, ARW)"),
        (b"MM\0*\0\0\0\x08", "TIFF or a raw photo (DNG, NEF, ARW)"),
        (b"MM\0+\0\x08\0\0", "TIFF"),
        (b"FUJIFILMCCD-RAW ", "RAF raw photo"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\x01\0\x01\0", "icon"),
    ],
)
def test_unsupported_formats_are_named(data: bytes, name: str) -> None:
    """They are photo_unsupported, since they can be converted."""
    with pytest.raises(UnusablePhoto) as caught:
        photo_format(data + bytes(64))
    assert (caught.value.reason, caught.value.found) == ("photo_unsupported", name)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<!DOCTYPE html><title>404</title>", "an HTML page"),
        (b"\r\n<!-- error --><html><body><svg/></body></html>", "an HTML page"),
        (b"<h1>Not found</h1>", "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
        (b'{"error": "not found"}', "JSON"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b\x08", "gzip data"),
        (b"not found", "bytes that start with 'not found"),
        (b"<", "bytes that start with '<"),
    ],
)
def test_other_files_are_named_too(data: bytes, name: str) -> None:
    """Most often the error page of a server."""
    with pytest.raises(UnusablePhoto) as caught:
        photo_format(data)
    assert caught.value.reason == "photo_not_an_image"
    assert caught.value.found.startswith(name)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (ftyp(b"heic"), "HEIC"),
        (ftyp(b"hevc"), "HEIC"),
        (ftyp(b"mif1", [b"heic"]), "HEIC"),
        (ftyp(b"msf1", [b"msf1", b"hevc"]), "HEIC"),
        (ftyp(b"avif"), "AVIF"),
        (ftyp(b"avis"), "AVIF"),
        (ftyp(b"mif1", [b"miaf", b"avif"]), "AVIF"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n", "PNG"),
        (b"RIFF\0\0\0\0WEBP", "WebP"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
    ],
)
def test_the_content_decides(data: bytes, kind: str) -> None:
    """File names and media types are ignored."""
    assert photo_format(data) == kind


def test_hostile_text_is_recognised_quickly() -> None:
    """Unclosed elements do not slow down the search for the root."""
    with pytest.raises(UnusablePhoto):
        photo_format(b"<!--" * 1_000_000)
    with pytest.raises(UnusablePhoto):
        photo_format(b"<!doctype [" * 1_000_000)
