"""From a .nic file of a clip to a video file."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import torch

from nicodec import container
from nicodec.errors import InputError, OutputError
from nicodec.media.clip_writing import DEFAULT_ENCODER, ClipSink, PicturesSink, is_pattern, open_sink
from nicodec.media.clips import ClipFormat, PlanarFrame
from nicodec.media.files import open_atomically
from nicodec.media.picture import LossyConversionWarning
from nicodec.video.progress import ClipProgress, Watch
from nicodec.video.reader import VideoReader

DEFAULT_SUFFIX = ".mkv"


def decompress_video(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    encoder: str = DEFAULT_ENCODER,
    format: str | None = None,
    partial: bool = False,
    limits: container.Limits = container.DEFAULT_LIMITS,
    device: str | torch.device = "cpu",
    overwrite: bool = False,
    watch: Watch | None = None,
) -> int:
    """Decompress a clip into a video file, its audio and subtitles as they were.

    Matroska keeps times to the millisecond, MP4 and MOV as they are.

    Args:
        source: a path, the bytes of a .nic file, or a file open for binary reading; a pipe is read as it comes.
        target: a path (.mkv, .mp4, .mov, .y4m, or a pattern such as frames/%04d.png), or a file open for binary
            writing.
        encoder: "x264" (near-transparent), "x265" (the same, smaller and slower) or "ffv1" (without further loss).
        format: suffix that says what is written; None takes the target's, ".mkv" for an open file.
        partial: write what is whole of a damaged clip, and warn of what is left out.
        limits: what the clip may ask for.
        device: torch device that the networks run on.
        overwrite: whether an existing file may be replaced.
        watch: told after each frame.

    Returns:
        The number of frames.

    Raises:
        StreamError, UnknownModelError, LimitError, DeviceError: as `VideoReader`.
        OutputExistsError, OutputError: the target exists, or cannot be written.

    Warns:
        LossyConversionWarning: frames or streams are left out.

    """
    with contextlib.ExitStack() as stack:
        reader = VideoReader(_opened(source, stack), limits=limits, partial=partial, device=device)
        sink = _sink(target, reader.format, encoder, format, overwrite, stack)
        count = 0
        for item in reader.items():
            sink.write(item)
            if isinstance(item, PlanarFrame):
                count += 1
                if watch is not None:
                    watch(ClipProgress("decoding", count, None, reader.seconds_of(item), reader.offset))
        sink.close()
        for loss in reader.losses:
            warnings.warn(str(loss), LossyConversionWarning, stacklevel=2)
        return count


def _opened(source: Any, stack: contextlib.ExitStack) -> Any:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not isinstance(source, (str, os.PathLike)):
        return source
    try:
        return stack.enter_context(open(source, "rb"))
    except OSError as error:
        raise InputError(f"{os.fsdecode(source)}: cannot be read ({error.strerror}); check the path") from error


def _sink(
    target: Any, form: ClipFormat, encoder: str, format: str | None, overwrite: bool, stack: contextlib.ExitStack
) -> ClipSink:
    suffix = None if format is None else "." + format.lower().lstrip(".")
    if not isinstance(target, (str, os.PathLike)):
        return open_sink(target, suffix or DEFAULT_SUFFIX, form, encoder)
    name = os.fsdecode(target)
    if is_pattern(name):
        try:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{Path(name).parent}: cannot be created ({error.strerror})") from error
        return PicturesSink(name, form, overwrite=overwrite)
    file = stack.enter_context(open_atomically(target, overwrite=overwrite))
    return open_sink(file, suffix or Path(name).suffix or DEFAULT_SUFFIX, form, encoder)
