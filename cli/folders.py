"""What lies in a folder: the files that a command is for, and what it leaves out, told apart by kind."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path


def _dotted(names: str) -> frozenset[str]:
    return frozenset("." + name for name in names.split())


PICTURES = _dotted(
    "avif bmp dib gif heic heif hif j2k jfif jp2 jpe jpeg jpg jpx jxl pbm pgm png pnm ppm qoi tga tif tiff webp"
)
"""Suffixes, in lower case, of the files of a folder that count as pictures."""

CLIPS = _dotted("3g2 3gp avi flv m2ts m2v m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv y4m")
"""Likewise of clips, whether nicodec reads them or not."""

RAW = _dotted("3fr arw cr2 cr3 crw dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f")
"""Likewise of photographs as the sensor saw them."""

_KINDS = {
    "pictures": PICTURES,
    "clips": CLIPS,
    "RAW photographs": RAW,
    ".nic files": frozenset([".nic"]),
}
_OTHER, _HIDDEN, _DEVICES, _LINKS = "other files", "hidden files", "pipes or devices", "links to folders"

KINDS = {
    "pictures": "picture",
    "clips": "clip",
    "RAW photographs": "RAW photograph",
    ".nic files": ".nic file",
    _OTHER: "other file",
    _HIDDEN: "hidden file",
    _DEVICES: "pipe or device",
    _LINKS: "link to a folder",
}
"""Kinds in the order in which they are told, and the word for one."""

REMEDIES = {
    "clips": "compress them with a codec of clips (--codec)",
    "RAW photographs": "develop them into TIFF or JPEG first",
}
"""What `nicodec compress` says can be done with what it leaves out."""


@dataclass
class Found:
    """What was found in folders.

    Attributes:
        folders: that were searched, in the order of the arguments.
        files: each file that the command is for, and its path below the folder that was named.
        left_out: paths that the command is not for, by kind.
        unreadable: one message for each folder that could not be read.

    """

    folders: list[Path] = field(default_factory=list)
    files: list[tuple[Path, Path]] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def search(self, folder: Path, wanted: Callable[[Path], bool]) -> None:
        """Add all that lies in a folder and its subfolders; links to folders are not followed.

        Args:
            folder: to search.
            wanted: which files the command is for; hidden ones never are.

        """
        self.folders.append(folder)
        files = []
        for place, folders, names in os.walk(folder, onerror=self._tell):
            below = Path(place).relative_to(folder)
            hidden = any(part.startswith(".") for part in below.parts)
            for name in folders:
                if Path(place, name).is_symlink():
                    self._leave_out(_HIDDEN if hidden or name.startswith(".") else _LINKS, Path(place, name))
            for name in names:
                path = Path(place, name)
                if hidden or name.startswith("."):
                    self._leave_out(_HIDDEN, path)
                elif os.path.exists(path) and not os.path.isfile(path):
                    self._leave_out(_DEVICES, path)
                elif wanted(path):
                    files.append((path, below / name))
                else:
                    self._leave_out(kind_of(path), path)
        self.files += sorted(files)

    def _leave_out(self, kind: str, path: Path) -> None:
        self.left_out.setdefault(kind, []).append(path)

    def _tell(self, error: OSError) -> None:
        self.unreadable.append(f"{error.filename}: the folder cannot be read ({error.strerror}); nothing in it was")

    @property
    def left_out_count(self) -> int:
        """Files that were left out."""
        return sum(map(len, self.left_out.values()))

    def left_out_words(self) -> str:
        """In one line: "3 clips, 1 RAW photograph and 2 other files"; "" for nothing."""
        parts = [count_text(len(self.left_out[kind]), kind) for kind in KINDS if kind in self.left_out]
        return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))

    def left_out_lines(self, remedies: dict[str, str]) -> list[str]:
        """One line a kind: how many, of which suffixes, and what can be done with them."""
        lines = []
        for kind in KINDS:
            paths = self.left_out.get(kind)
            if not paths:
                continue
            suffixes = "" if kind in (_HIDDEN, _DEVICES, _LINKS) else f" ({_suffixes(paths)})"
            remedy = f": {remedies[kind]}" if kind in remedies else ""
            lines.append(f"  {count_text(len(paths), kind)}{suffixes}{remedy}")
        return lines


def kind_of(path: Path) -> str:
    """The kind of a file by its suffix, in the plural."""
    suffix = path.suffix.lower()
    return next((kind for kind, suffixes in _KINDS.items() if suffix in suffixes), _OTHER)


def count_text(count: int, kind: str) -> str:
    """Give "1 clip" or "3 clips"."""
    return f"{count} {KINDS[kind] if count == 1 else kind}"


def _suffixes(paths: Iterable[Path]) -> str:
    """The suffixes of files, the most frequent first, and how many of each where they differ."""
    counts = Counter(path.suffix.lower() or "no suffix" for path in paths).most_common()
    if len(counts) == 1:
        return counts[0][0]
    shown = [f"{suffix} {count}" for suffix, count in counts[:6]]
    if len(counts) > 6:
        shown.append(f"others {sum(count for _, count in counts[6:])}")
    return ", ".join(shown)
