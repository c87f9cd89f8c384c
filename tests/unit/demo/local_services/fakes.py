"""Small local fakes of an Elasticsearch, its archive, Maven and a JDK."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from pathlib import Path

from demo.local_services.elasticsearch.archive import archive_url
from demo.local_services.elasticsearch.distribution import VERSION

ALL_MODULES = ("java.base", "jdk.jlink", "jdk.incubator.vector")


def make_java(home: Path, version: str = "25.0.1", modules: tuple[str, ...] = ALL_MODULES) -> Path:
    """Make a folder whose bin/java answers as a Java of that version with those modules would."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    listing = "\n".join(f"{module}@{version}" for module in modules)
    java.write_text(
        "#!/bin/sh\n"
        f'case "$1" in --list-modules) echo "{listing}" ;; *) echo "    java.home = {home}" >&2 ;; esac\n'
    )
    java.chmod(0o755)
    return home


def make_distribution(folder: Path, *, with_jdk: bool, version: str = VERSION) -> Path:
    """Make a folder that looks like an unpacked Elasticsearch."""
    for name in ("bin", "lib", "config", *(["jdk/bin"] if with_jdk else [])):
        (folder / name).mkdir(parents=True)
    (folder / "lib" / f"elasticsearch-{version}.jar").write_text("classes")
    (folder / "lib" / "elasticsearch-core-1.0.jar").write_text("more classes")
    (folder / "config" / "jvm.options").write_text("-XX:+UseG1GC\n")
    (folder / "config" / "jvm.options").chmod(0o660)
    (folder / "bin" / "elasticsearch").write_text("#!/bin/sh\nexec sleep 60\n")
    (folder / "bin" / "elasticsearch").chmod(0o755)
    return folder


def publish_archive(folder: Path, url: str, *, sha512: str = "") -> Path:
    """Put an archive for this machine into the served folder, its SHA-512 or a wrong one beside it."""
    unpacked = make_distribution(folder.parent / "unpacked" / f"elasticsearch-{VERSION}", with_jdk=True)
    archive = folder / archive_url(url, VERSION).rsplit("/", 1)[1]
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(unpacked, arcname=unpacked.name)
    found = hashlib.sha512(archive.read_bytes()).hexdigest()
    archive.with_name(f"{archive.name}.sha512").write_text(f"{sha512 or found}  {archive.name}\n")
    return archive


def make_maven(folder: Path, *, delivers: bool = True, says: str = "") -> tuple[Path, str]:
    """Make an mvn that copies a zip to its outputDirectory; return its folder and the zip's SHA-512."""
    folder.mkdir()
    unpacked = make_distribution(folder / f"elasticsearch-{VERSION}", with_jdk=False)
    archive = folder / "repository.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(unpacked.rglob("*")):
            packed.writestr(str(path.relative_to(folder)) + ("/" if path.is_dir() else ""), _content(path))
    copy = f'cp "{archive}" "${{folder}}/elasticsearch-{VERSION}.zip"' if delivers else "exit 1"
    mvn = folder / "mvn"
    mvn.write_text(
        '#!/bin/sh\nfor word in "$@"; do\n  case "$word" in -DoutputDirectory=*)\n'
        f'    folder="${{word#-DoutputDirectory=}}" ;;\n  esac\ndone\nprintf "{says}"\n{copy}\n'
    )
    mvn.chmod(0o755)
    return folder, hashlib.sha512(archive.read_bytes()).hexdigest()


def _content(path: Path) -> bytes:
    return b"" if path.is_dir() else path.read_bytes()
