#!/usr/bin/python3
"""Make a Debian package of the wheel: the same wheel gives the same bytes.

    tools/deb.py WHEEL DIRECTORY

A wheel is built already, so there is nothing for debhelper to do but to move files, and
dpkg-deb is all that this needs. The texts are in tools/debian, with `@NAME@` for what is
known only here. Times are that of the wheel.
"""

from __future__ import annotations

import configparser
import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

TEXTS = Path(__file__).parent / "debian"
NAME = "ebpf-tour"
REVISION = "1"
DOCUMENTS = f"usr/share/doc/{NAME}"
MODULES = "usr/lib/python3/dist-packages"

# Where Debian has what a wheel has elsewhere; "" for what a Debian package does not have.
PLACES = {
    "share/zsh/site-functions/": "usr/share/zsh/vendor-completions/",
    "share/doc/ebpf-tour/LICENSE": "",  # it is in the copyright file
    "share/": "usr/share/",
}

COMMAND = """\
#!/usr/bin/python3
import sys

from {module} import {function}

sys.exit({function}())
"""


def make(wheel: Path, directory: Path) -> Path:
    """Make the package of a wheel in a directory. Returns its path."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for item in archive.infolist():
            if place := place_of(item.filename):
                write(tree / place, archive.read(item), executable=item.external_attr >> 16 & 0o100)
        newest = max(item.date_time for item in archive.infolist())
        time = datetime(*newest, tzinfo=UTC)
        version = f"{wheel.name.split('-')[1]}-{REVISION}"
        write_commands(tree)
        write_documents(tree, {"VERSION": version, "DATE": format_datetime(time)})
        write_control(tree, {"VERSION": version})
        for path in [tree, *tree.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
            os.utime(path, (time.timestamp(),) * 2, follow_symlinks=False)
        package = directory / f"{NAME}_{version}_all.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, package],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SOURCE_DATE_EPOCH": f"{time.timestamp():.0f}"},
        )
    return package


def place_of(name: str) -> str:
    """Return where a file of the wheel goes, "" if it is left out."""
    top, _, rest = name.partition("/")
    if top.endswith(".data"):
        name = rest.removeprefix("data/")
        start = next(start for start in PLACES if name.startswith(start))
        return PLACES[start] and PLACES[start] + name.removeprefix(start)
    if top.endswith(".dist-info") and rest not in ("METADATA", "entry_points.txt"):
        return ""  # pip's own
    return f"{MODULES}/{name}"


def write(path: Path, content: bytes, *, executable: bool | int = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if executable else 0o644)


def write_compressed(path: Path, content: bytes) -> None:
    write(path.with_name(f"{path.name}.gz"), gzip.compress(content, 9, mtime=0))


def text(name: str, values: dict[str, str]) -> bytes:
    """Return one of tools/debian, with the values in their places."""
    content = (TEXTS / name).read_text(encoding="utf-8")
    for key, value in values.items():
        content = content.replace(f"@{key}@", value)
    return content.encode()


def write_commands(tree: Path) -> None:
    """Write what pip would write, for Debian's Python."""
    (entry_points,) = tree.glob(f"{MODULES}/*.dist-info/entry_points.txt")
    points = configparser.ConfigParser(delimiters="=")
    points.read(entry_points, encoding="utf-8")
    for command, place in points["console_scripts"].items():
        module, _, function = place.partition(":")
        script = COMMAND.format(module=module, function=function)
        write(tree / "usr/bin" / command, script.encode(), executable=True)


def write_documents(tree: Path, values: dict[str, str]) -> None:
    """Write what each Debian package has, and compress what each has compressed."""
    for page in list((tree / "usr/share/man").rglob("*.[1-9]")):
        write_compressed(page, page.read_bytes())
        page.unlink()
    documents = tree / DOCUMENTS
    write_compressed(documents / "changelog", (documents / "CHANGELOG.md").read_bytes())
    write_compressed(documents / "changelog.Debian", text("changelog", values))
    write(documents / "copyright", text("copyright", {}))
    write(tree / f"usr/share/lintian/overrides/{NAME}", text("lintian-overrides", {}))


def write_control(tree: Path, values: dict[str, str]) -> None:
    """Write what dpkg reads: what the package is, checksums, what to do when it comes and goes."""
    paths = sorted(tree.rglob("*"))
    files = [path for path in paths if path.is_file()]
    # In KiB, each file rounded up, and one for each directory: Debian policy 5.6.20.
    size = len(paths) - len(files) + sum(-(-path.stat().st_size // 1024) for path in files)
    control = tree / "DEBIAN"
    write(control / "control", text("control", {**values, "SIZE": str(size)}))
    write(control / "md5sums", "".join(checksum(path, tree) for path in files).encode())
    for script in ("postinst", "prerm"):
        write(control / script, text(script, {}), executable=True)


def checksum(path: Path, tree: Path) -> str:
    return f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n"


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), Path(sys.argv[2])))
