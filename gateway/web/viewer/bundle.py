"""The viewer OHIF as its authors publish it: fetched once, checked, slimmed and kept in a folder.

One version is named here, with the digest of its archive (npm, `dist.integrity`), because our extension
leans on what this version gives to extensions.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import ssl
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from gateway.errors import InputError, PeerError, ResourceError

VERSION = "3.13.2"
ARCHIVE = f"ohif-app-{VERSION}.tgz"
# Of https://registry.npmjs.org/@ohif/app/3.13.2.
SHA512 = (
    "5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3dee"
    "a3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10"
)
REGISTRY = "https://registry.npmjs.org/"
ARCHIVE_BYTES_MAX = 100 << 20
UNPACKED_BYTES_MAX = 400 << 20
FETCH_TIMEOUT_S = 600.0
# Of one answer on the line.
ANSWER_TIMEOUT_S = 30.0
# Half of the archive and more: machine learning in the browser, slides, maps for debuggers.
LEFT_OUT = ("ort/", "dicom-microscopy-viewer/")
# These are served compressed.
COMPRESSED = {".js", ".css", ".html", ".json", ".svg", ".wasm"}


class ViewerMissing(ResourceError):
    """OHIF is not in its folder."""

    code = "viewer-missing"
    retry = False
    hint = "Run `sealgate viewer fetch --config FILE`; without internet, add --archive FILE."


class ViewerNotFetched(PeerError):
    """The registry did not give the archive."""

    code = "viewer-not-fetched"
    hint = (
        f"Fetch @ohif/app {VERSION} elsewhere (`npm pack @ohif/app@{VERSION}`), and give it with --archive."
    )


class WrongArchive(InputError):
    """The archive is another one than the one that our extension was made for."""

    code = "wrong-viewer-archive"
    hint = f"It must be {ARCHIVE}, as the npm registry has it."


def folder_of(parent: Path) -> Path:
    """Where the files of this version are, below the folder for viewers."""
    return parent / f"ohif-{VERSION}"


def fetch(parent: Path, archive: Path | None = None, *, registry: str = REGISTRY) -> Path:
    """Unpack OHIF below `parent`, if it is not there. Others see nothing of it, or all.

    archive: a file that was fetched before; None: it is fetched from `registry`.
    registry: of npm packages; https, or http on this machine.
    Raises ViewerNotFetched, WrongArchive, OSError.
    """
    target = folder_of(parent)
    if target.is_dir():
        return target
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".viewer-") as name:
        folder = Path(name)
        if archive is None:
            archive = folder / ARCHIVE
            _download(f"{registry.rstrip('/')}/@ohif/app/-/app-{VERSION}.tgz", archive)
        _check(archive)
        (folder / "dist").mkdir()
        _unpack(archive, folder / "dist")
        (folder / "dist").chmod(0o755)
        try:
            (folder / "dist").rename(target)
        except OSError:
            # Another process was faster.
            if not target.is_dir():
                raise
    return target


def _download(url: str, target: Path) -> None:
    """Raises ViewerNotFetched."""
    if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in ("127.0.0.1", "localhost"):
        raise ViewerNotFetched("the npm registry must be asked by https")
    deadline, size = time.monotonic() + FETCH_TIMEOUT_S, 0
    try:
        with (
            urllib.request.urlopen(
                url, timeout=ANSWER_TIMEOUT_S, context=ssl.create_default_context()
            ) as answer,
            target.open("xb") as file,
        ):
            while chunk := answer.read(1 << 18):
                size += len(chunk)
                if size > ARCHIVE_BYTES_MAX or time.monotonic() > deadline:
                    raise ViewerNotFetched("the archive of OHIF is too large, or comes too slowly")
                file.write(chunk)
    except OSError as error:
        raise ViewerNotFetched(f"the npm registry {urlsplit(url).hostname} did not give OHIF") from error


def _check(archive: Path) -> None:
    """Raises WrongArchive, OSError."""
    if digest_of(archive) != SHA512:
        raise WrongArchive(f"{archive.name} is not OHIF {VERSION}")


def digest_of(archive: Path) -> str:
    """SHA-512 of a file, in hex. Raises OSError."""
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha512").hexdigest()


def _unpack(archive: Path, target: Path) -> None:
    """The static files. The archive was checked: what is bounded here is only our own mistake. Raises WrongArchive."""
    size = 0
    with tarfile.open(archive, "r:gz") as members:
        for member in members:
            path = _place(member.name)
            if path is None or not member.isfile():
                continue
            size += member.size
            source = members.extractfile(member)
            if source is None or size > UNPACKED_BYTES_MAX or ".." in path.parts or path.is_absolute():
                raise WrongArchive(f"{archive.name} does not unpack")
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with source, file.open("xb") as copy:
                shutil.copyfileobj(source, copy)
            if file.suffix in COMPRESSED:
                _compress(file)


def _place(name: str) -> PurePosixPath | None:
    """The path of a member in our folder; None for one that is left out."""
    prefix = "package/dist/"
    if name == "package/LICENSE":
        return PurePosixPath("LICENSE")
    inside = name.removeprefix(prefix)
    if inside == name or inside.startswith(LEFT_OUT) or inside.endswith(".map"):
        return None
    return PurePosixPath(inside)


def _compress(file: Path) -> None:
    file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes(), 6, mtime=0))
