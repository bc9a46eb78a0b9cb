"""Suffixes by which files are told apart without being opened."""

from __future__ import annotations

import os

from nicodec.errors import InputError

CLIP_SUFFIXES = (".mp4", ".mkv", ".mov", ".m4v", ".webm", ".avi", ".y4m", ".mts", ".m2ts", ".3gp")
"""Of clips that are read, in lower case with the dot."""


def refuse_clip(source: object) -> None:
    """Raise InputError where `source` is the path of a clip, and a picture is wanted."""
    if isinstance(source, (str, os.PathLike)) and os.fsdecode(source).lower().endswith(CLIP_SUFFIXES):
        raise InputError(f"{os.fsdecode(source)}: is a clip; compress it with a codec of clips (compress_video)")
