"""Fetches known data sets from their public homes, checking every byte before it is used."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from kodak_eval.datasets import SUFFIXES, KnownSet
from kodak_eval.errors import DatasetError

CHUNK = 1 << 20
TIMEOUT = 60
"""Seconds without a byte after which a download is given up."""


def fetch(known: KnownSet, folder: Path, *, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Download ``known`` into ``folder``; what is there already and whole is kept.

    A file is written beside its place, checked, and moved there. Archives are unpacked flat
    (pictures only; their folders and names starting with a dot are dropped) and removed.

    Args:
        known: the set.
        folder: made if missing.
        progress: told files done and files in all.

    Raises:
        DatasetError: no network, an answer that is not the file, or a checksum that differs.

    """
    folder.mkdir(parents=True, exist_ok=True)
    for done, entry in enumerate(known.files):
        progress(done, len(known.files))
        url, digest = str(entry["url"]), str(entry["sha256"])
        target = folder / PurePosixPath(url).name
        if target.suffix == ".zip":
            if sum(1 for file in folder.iterdir() if file.suffix.lower() in SUFFIXES) == known.pictures:
                continue
            _download(url, target, digest)
            _unpack(target, folder)
            target.unlink()
        elif not (target.is_file() and _sha256(target) == digest):
            _download(url, target, digest)
    progress(len(known.files), len(known.files))


def _download(url: str, target: Path, digest: str) -> None:
    part = target.with_name(target.name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, part.open("wb") as out:
            while chunk := answer.read(CHUNK):
                out.write(chunk)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        part.unlink(missing_ok=True)
        reason = getattr(error, "reason", error)
        raise DatasetError(
            f"cannot download {url}: {reason}. Fetch it elsewhere and give its folder instead of --download"
        ) from error
    if (found := _sha256(part)) != digest:
        part.unlink()
        raise DatasetError(f"{url} gave a file with SHA-256 {found}, expected {digest}; it was removed")
    os.replace(part, target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as pack:
        for member in pack.infolist():
            name = PurePosixPath(member.filename)
            if member.is_dir() or name.name.startswith(".") or "__MACOSX" in name.parts:
                continue
            if name.suffix.lower() in SUFFIXES:
                (folder / name.name).write_bytes(pack.read(member))
