"""From a clip to a .nic file, at a quality or by a goal."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from nicodec import DEFAULT_CLIP_CODEC
from nicodec.checks import number, whole_number
from nicodec.control import EncoderControl
from nicodec.errors import InputError, QualityError
from nicodec.media.clip_reading import ClipFile, Pipe
from nicodec.media.clips import FrameSource, from_rgb
from nicodec.media.files import open_atomically
from nicodec.quality import QUALITY_DEFAULT, Quality
from nicodec.video.goals import Goal, encode_by_bitrate, encode_by_psnr, encode_by_size
from nicodec.video.passes import Job, Stop, encode_all
from nicodec.video.progress import Watch

ClipLike = str | os.PathLike[str] | bytes | Pipe | FrameSource | Sequence[NDArray[np.uint8]]
"""What a clip may come as."""


def compress_video(
    source: ClipLike,
    target: str | os.PathLike[str] | BinaryIO | None = None,
    quality: float | None = None,
    *,
    bitrate: float | None = None,
    max_bytes: int | None = None,
    psnr: float | None = None,
    codec: str | os.PathLike[str] = DEFAULT_CLIP_CODEC,
    control: EncoderControl | None = None,
    device: str | torch.device = "cpu",
    overwrite: bool = False,
    watch: Watch | None = None,
    stop: Stop | None = None,
    **options: Any,
) -> bytes | None:
    """Compress a clip, its audio and subtitles copied.

    Args:
        source: a path, the bytes of a file or a pipe (with `read1`) that FFmpeg reads; frames, uint8 (H, W, 3), 25 a
            second; or a `FrameSource`.
        target: a path, a file open for binary writing, or None: the bytes are returned.
        quality: 0 (smallest) to 100 (best); 50 unless one of the next three is given.
        bitrate: bits a second of the frames, on average; a file is gone through twice, a pipe once.
        max_bytes: most bytes of the whole file; not for pipes.
        psnr: least PSNR in dB, YUV 6:1:1, the mean of the frames; not for pipes.
        codec: name of a model of clips, or its folder.
        control: says what is wished for each frame. With a goal that takes several passes it is copied for each.
        device: torch device that the networks run on.
        overwrite: whether an existing file may be replaced.
        watch: told after each frame.
        stop: asked before each frame of the last pass; True ends the clip there.
        options: of the codec's encoder.

    Raises:
        InputError: not a clip.
        QualityError: a number is out of range or cannot be reached, or there is no such option.
        UnknownModelError, DeviceError: an argument is none of these.
        OutputExistsError, OutputError: the target exists, or cannot be written.

    """
    if target is None:
        held = io.BytesIO()
        _compress(
            source, held, _goal(quality, bitrate, max_bytes, psnr), codec, control, device, watch, stop, options
        )
        return held.getvalue()
    goal = _goal(quality, bitrate, max_bytes, psnr)
    opened: contextlib.AbstractContextManager[Any] = contextlib.nullcontext(target)
    if isinstance(target, (str, os.PathLike)):
        opened = open_atomically(target, overwrite=overwrite)
    with opened as file:
        _compress(source, file, goal, codec, control, device, watch, stop, options)
    return None


def _compress(
    source: Any,
    file: Any,
    goal: Goal,
    codec: str | os.PathLike[str],
    control: EncoderControl | None,
    device: str | torch.device,
    watch: Watch | None,
    stop: Stop | None,
    options: dict[str, Any],
) -> None:
    reopen, can_reopen = _opener(source)
    job = Job(reopen, can_reopen, codec, device, options, control, watch, stop)
    if goal.bitrate is not None:
        encode_by_bitrate(job, file, goal.bitrate)
    elif goal.max_bytes is not None:
        with tempfile.TemporaryFile() as held:
            encode_by_size(job, held, goal.max_bytes)
            held.seek(0)
            shutil.copyfileobj(held, file)
    elif goal.psnr is not None:
        encode_by_psnr(job, file, goal.psnr)
    else:
        encode_all(job, file, Quality.of(goal.quality).half_steps, job.source())


def _goal(quality: float | None, bitrate: float | None, max_bytes: int | None, psnr: float | None) -> Goal:
    given = {"quality": quality, "bitrate": bitrate, "max_bytes": max_bytes, "psnr": psnr}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise QualityError(f"{' and '.join(named)} contradict each other; give one of them")
    if bitrate is not None:
        bitrate = number("bitrate", bitrate, 100, 1e12, "of bits a second, such as 500_000")
    if max_bytes is not None:
        max_bytes = whole_number("max_bytes", max_bytes, 1)
    if psnr is not None:
        psnr = number("psnr", psnr, 1, 100)
    return Goal(QUALITY_DEFAULT if quality is None else quality, bitrate, max_bytes, psnr)


def _opener(source: Any) -> tuple[Callable[[], FrameSource], bool]:
    """What opens the source, and whether it can do so again."""
    if isinstance(source, (str, os.PathLike, bytes)):
        is_file = isinstance(source, bytes) or os.path.isfile(source) or not os.path.exists(source)
        return lambda: ClipFile(source), is_file
    if isinstance(source, (list, tuple)):
        frames = from_rgb([np.asarray(frame) for frame in source])
        return lambda: frames, True
    if isinstance(source, FrameSource):
        return lambda: source, False
    if isinstance(source, Pipe):
        return lambda: ClipFile(source), False
    raise InputError(f"a {type(source).__name__} is no clip; give a path, the bytes of a file, or frames")
