"""Small files of other kinds that are sent as photos."""

from __future__ import annotations

import gzip
import io
import zipfile

from tests.pictures import box, encode, ftyp, smooth


def other_files() -> dict[str, bytes]:
    """Return the beginning, or the whole, of a file of each kind."""
    return texts() | media() | programs()


def texts() -> dict[str, bytes]:
    """Pages, drawings and scripts."""
    svg = "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>{}</svg>"
    lol = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
    return {
        "HTML": b"<!doctype html><title>Not found</title>" + b" " * 200,
        "HTML with a photo": b"<html><img src='a.jpg'></html>" + b" " * 200,
        "JSON": b'{"error": "no such photo", "status": 404}',
        "SVG": svg.format("<circle r='9'/>").encode(),
        "SVG with a script": svg.format("<script>fetch('//a')</script>").encode(),
        "SVG that reads a file": (
            "<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
            + svg.format("&x;")
        ).encode(),
        "SVG of a billion laughs": (
            f"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY l0 'ha'>{lol}]>" + svg.format("&l9;")
        ).encode(),
        "SVG in UTF-16": ("\ufeff" + svg.format("")).encode("utf-16-le"),
        "XML": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "shell script": b"#!/bin/sh\nrm -rf /\n" + b"#" * 200,
        "JavaScript": b"/* photo */ alert(document.cookie);" + b" " * 200,
        "PHP": b"<?php system($_GET['c']); ?>" + b" " * 100,
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "MVG": b"push graphic-context\nfill 'url(https://a/\"|id\")'\npop graphic-context\n",
        "PPM": b"P6 64 64 255\n" + bytes(12_288),
        "XPM": b'/* XPM */ static char *a[] = {"64 64 1 1", "a c red"};' + b"a" * 4096,
        "mail": b"From: a@example.com\r\nContent-Type: image/jpeg\r\n\r\n/9j/4AAQ",
        "base64": b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8M",
        "data URL": b"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    }


def media() -> dict[str, bytes]:
    """Photos and films of kinds that browsers do not show."""
    return {
        "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n" + b" " * 200,
        "TIFF": encode(smooth(), "TIFF"),
        "icon": encode(smooth(64, 64), "ICO"),
        "TGA": encode(smooth(64, 64), "TGA"),
        "PCX": encode(smooth(64, 64), "PCX"),
        "DDS": encode(smooth(64, 64), "DDS"),
        "SGI": encode(smooth(64, 64), "SGI"),
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + ftyp(b"jp2 ") + bytes(64),
        "JPEG XL": b"\xff\x0a\xfa\x1f" + bytes(64),
        "JPEG XL in a container": b"\0\0\0\x0cJXL \r\n\x87\n" + ftyp(b"jxl ") + bytes(64),
        "JPEG XR": b"II\xbc\x01\x20\0\0\0" + bytes(64),
        "Photoshop": b"8BPS\0\x01" + bytes(64),
        "GIMP": b"gimp xcf v011\0" + bytes(64),
        "Canon raw": ftyp(b"crx ", [b"crx ", b"isom"]) + bytes(64),
        "Fujifilm raw": b"FUJIFILMCCD-RAW " + bytes(64),
        "MP4": ftyp(b"isom", [b"iso2", b"mp41"]) + bytes(64),
        "MOV": ftyp(b"qt  ") + box(b"moov", bytes(64)),
        "WebM": b"\x1a\x45\xdf\xa3" + bytes(64),
        "AVI": b"RIFF\0\0\0\0AVI LIST" + bytes(64),
        "WAV": b"RIFF\0\0\0\0WAVEfmt " + bytes(64),
        "Ogg": b"OggS\0\2" + bytes(64),
        "MP3": b"ID3\4\0\0" + bytes(64),
        "font": b"\0\1\0\0\0\x0fcmap" + bytes(64),
        "WOFF2": b"wOF2\0\1\0\0" + bytes(64),
    }


def programs() -> dict[str, bytes]:
    """Archives, programs and databases."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("photo.jpg", encode(smooth(), "JPEG"))
    return {
        "ZIP": archive.getvalue(),
        "gzip of a JPEG": gzip.compress(encode(smooth(), "JPEG"), mtime=0),
        "gzip bomb": gzip.compress(bytes(10_000_000), mtime=0),
        "7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(64),
        "RAR": b"Rar!\x1a\7\1\0" + bytes(64),
        "Windows program": b"MZ\x90\0\3\0\0\0" + bytes(64),
        "ELF program": b"\x7fELF\2\1\1\0" + bytes(64),
        "Mach-O program": b"\xcf\xfa\xed\xfe\7\0\0\1" + bytes(64),
        "Java class": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(64),
        "WebAssembly": b"\0asm\1\0\0\0" + bytes(64),
        "SQLite": b"SQLite format 3\0" + bytes(64),
        "pickle": b"\x80\4\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        "NumPy": b"\x93NUMPY\1\0v\0{'descr': '<f4', }" + bytes(64),
        "Parquet": b"PAR1\x15\0\x15" + bytes(64),
        "zeros": bytes(10_000),
        "ones": b"\xff" * 10_000,
        "spaces": b" " * 10_000,
        "line feeds": b"\n" * 10_000,
    }
