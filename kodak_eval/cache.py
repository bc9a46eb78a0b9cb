"""Results by content: a picture, codec, setting and version that were measured once are not measured again.

An entry is two files named by the SHA-256 of what determines the result: the encoded picture (``.bin``)
and what was measured (``.json``). The encoded picture is kept so that another metric, or the report's
viewer, decodes it instead of encoding again. Files are written beside their place and moved there, so
that an interrupted run leaves whole entries only.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Entry:
    """What is known of one encoded picture.

    Attributes:
        encode_seconds, decode_seconds: wall time in the run that made it.
        values: by a metric's key, its value.
        failures: by a metric's key, why it has none.
        series: of a clip, by a metric's key, its value for each frame.

    """

    encode_seconds: float
    decode_seconds: float
    values: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)


class Cache:
    """A folder of entries; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which is made at the first ``store``."""
        self.folder = folder

    @staticmethod
    def key(picture_sha256: str, codec: str, version: str, command: str, setting: float) -> str:
        """Return the entry's name, 64 hex digits."""
        parts = [picture_sha256, codec, version, command, repr(float(setting))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / key[:2] / f"{key}{suffix}"

    def load(self, key: str) -> tuple[bytes, Entry] | None:
        """Return the encoded picture and its entry; None where there is none, or a damaged one."""
        try:
            entry = Entry(**json.loads(self._path(key, ".json").read_text(encoding="utf-8")))
            return self._path(key, ".bin").read_bytes(), entry
        except (OSError, ValueError, TypeError):
            return None

    def store(self, key: str, encoded: bytes, entry: Entry) -> None:
        """Write or replace an entry; the picture first, so that a ``.json`` always has its ``.bin``."""
        self._write(self._path(key, ".bin"), encoded)
        self._write(self._path(key, ".json"), json.dumps(asdict(entry)).encode())

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)


def default_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/nicodec/eval``, by default ``~/.cache/nicodec/eval``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nicodec" / "eval"
