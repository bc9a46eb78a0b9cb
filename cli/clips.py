"""Clips of `nicodec compress` and `nicodec decompress`: written and read as they come, with a line on how far it is.

Ctrl-C while a clip is compressed ends it there, whole.
"""

from __future__ import annotations

import contextlib
import io
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nicodec.errors import InputError, OutputError
from nicodec_cli import console
from nicodec_cli.console import UsageError
from nicodec_cli.tasks import Task

if TYPE_CHECKING:
    from nicodec.container import Limits
    from nicodec.video import ClipProgress
    from nicodec_cli.compress import Request
    from nicodec_cli.reports import Done

CLIP_OUTPUTS = (".mkv", ".mp4", ".m4v", ".mov", ".y4m")
"""Suffixes of clips that are written."""

_HEADS = (b"YUV4MPEG2", b"\x1aE\xdf\xa3", b"FLV\x01")
_VIDEO_BRANDS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"M4V ", b"qt  ", b"dash", b"avc1")


@dataclass(frozen=True)
class ClipOutput:
    """How clips are decompressed.

    Attributes:
        encoder: a name of `nicodec.media.clip_writing.ENCODERS`.
        format: suffix without a dot; None takes the target's.
        streams: whether a file is written as it comes; else its bytes are handed back.
        shows: whether a line tells how far it is.
        overwrite: whether an existing file may be replaced.
        make_folders: whether its folder is made.

    """

    encoder: str
    format: str | None
    streams: bool
    shows: bool
    overwrite: bool
    make_folders: bool


def is_for_clips(codec: str) -> bool:
    """Whether a model codes clips; UnknownModelError where there is none of that name."""
    from nicodec.codecs import family
    from nicodec.zoo import family_of, find_model

    return family(family_of(find_model(codec))).medium == "clip"


def are_clips(inputs: list[str]) -> bool:
    """Whether all inputs are clips, by their names or, for standard input, by its first bytes."""
    from nicodec.media.suffixes import CLIP_SUFFIXES

    if inputs == ["-"]:
        return _head_is_clip(_peek(sys.stdin.buffer))
    return all(Path(text).suffix.lower() in CLIP_SUFFIXES and not Path(text).is_dir() for text in inputs)


def _head_is_clip(head: bytes) -> bool:
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if head[4:8] == b"ftyp":
        return head[8:12] in _VIDEO_BRANDS
    return head.startswith(_HEADS) or (head[:1] == b"G" and head[188:189] == b"G")


def _peek(file: Any) -> bytes:
    """The next bytes of standard input, which stay there."""
    if sys.stdin.isatty():
        return b""
    if isinstance(file, io.BufferedReader):
        return file.peek(200)[:200]
    place = file.tell()
    head = bytes(file.read(200))
    file.seek(place)
    return head


def is_clip(path: Path | None) -> bool:
    """Whether a .nic file (None: standard input) holds a clip; False where it cannot be read."""
    from nicodec import container
    from nicodec.errors import NicodecError

    try:
        if path is None:
            return container.read_kind(_peek(sys.stdin.buffer)[:5]) == container.Kind.CLIP
        with path.open("rb") as file:
            return container.read_kind(file.read(5)) == container.Kind.CLIP
    except (OSError, NicodecError):
        return False  # reading it says it better


def parse_bitrate(text: str) -> float:
    """Read a rate such as "500k", "1.5M" or "250000" as bits a second.

    Raises:
        UsageError: it is no such rate.

    """
    units = {"": 1, "k": 1e3, "m": 1e6}
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([km]?)(?:bit/s|bps|b)?\s*", text, re.IGNORECASE | re.ASCII)
    if match is None or float(match[1]) * units[match[2].lower()] < 100:
        raise UsageError(f"--bitrate {text}: give bits a second: 500k, 1.5M, 250000")
    return float(match[1]) * units[match[2].lower()]


def refuse_goals_of_other_medium(codec: str, *, bpp: float | None, bitrate: str | None) -> None:
    """Raise UsageError for --bpp with a codec of clips, and for --bitrate with one of pictures."""
    if bpp is not None and is_for_clips(codec):
        raise UsageError("--bpp is for pictures; give -q, --bitrate, --size or --psnr for a clip")
    if bitrate is not None and not is_for_clips(codec):
        raise UsageError(f"--bitrate is for clips, and {codec} codes pictures; give -q, --bpp, --size or --psnr")


# --- compressing --------------------------------------------------------------------------------------------


def compress_clip(task: Task, request: Request) -> Done:
    """Compress the clip of a task; KeyboardInterrupt once it is whole, where Ctrl-C ended it.

    Raises:
        NicodecError: as `nicodec.compress_video` does.

    """
    from nicodec import container, video
    from nicodec_cli.reports import Done

    start = time.perf_counter()
    with (
        _target(task, request.streams, request.overwrite, request.make_folders) as target,
        _Interrupt(request.streams) as interrupt,
        Line(task.source_name, request.shows) as line,
    ):
        video.compress_video(
            _source(task),
            target,
            request.quality,
            bitrate=request.bitrate,
            max_bytes=request.max_bytes,
            psnr=request.psnr,
            codec=request.codec,
            device=request.device,
            watch=line.watch,
            stop=interrupt.stop,
            **request.options,
        )
        if line.last is None:
            raise InputError(f"{task.source_name}: no frames were read; nothing is written")
    if interrupt.happened:
        got = f"the first {line.last.frames} frames, {line.last.seconds:.2f} s"
        console.say(f"nicodec: stopped early: {task.target_name} is whole and has {got}")
        raise KeyboardInterrupt
    header = container.read_header(target.head, container.Limits(0, 0))
    return Done(
        data=target.data,
        bytes_in=_size_of(task),
        bytes_out=target.size,
        nic_bytes=target.size,
        width=header.width,
        height=header.height,
        quality=header.quality / 2,
        seconds=time.perf_counter() - start,
        frames=line.last.frames,
    )


def _source(task: Task) -> Any:
    if task.source is None:
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal; pipe a file into it, or name one instead of -")
        return sys.stdin.buffer
    path = (task.folder or Path()) / task.source
    if not path.exists():
        raise InputError(f"{task.source}: no such file; check the path")
    if path.is_dir():
        raise InputError(f"{task.source}: is a folder; name a file in it")
    return path


def _size_of(task: Task) -> int:
    path = None if task.source is None else (task.folder or Path()) / task.source
    return path.stat().st_size if path is not None and path.is_file() else 0


class _Target:
    """A file that is written as it comes, or bytes that are kept; counts them and keeps the first."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file: Any = file or io.BytesIO()
        self._is_kept = file is None
        self.size = 0
        self.head = b""

    def write(self, data: bytes) -> int:
        """Write the bytes, at once."""
        self.head = self.head or data[:64]
        self._file.write(data)
        self._file.flush()
        self.size += len(data)
        return len(data)

    @property
    def data(self) -> bytes | None:
        """The bytes; None where they are written."""
        return self._file.getvalue() if self._is_kept else None


@contextlib.contextmanager
def _target(task: Task, streams: bool, overwrite: bool, make_folders: bool) -> Iterator[_Target]:
    """What a clip is written to: the task's file or standard output or, for other processes, memory."""
    with _opened_target(task, streams, overwrite, make_folders) as file:
        yield _Target(file)


@contextlib.contextmanager
def _opened_target(task: Task, streams: bool, overwrite: bool, make_folders: bool) -> Iterator[BinaryIO | None]:
    if not streams:
        yield None
    elif task.target is None:
        yield sys.stdout.buffer
    else:
        from nicodec.media import open_atomically

        if make_folders:
            _make_folder(task.target.parent)
        with open_atomically(task.target, overwrite=overwrite) as file:
            yield file


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror})") from error


class _Interrupt:
    """Lets the first Ctrl-C end a clip; the second is as ever.

    Attributes:
        happened: whether it came.

    """

    def __init__(self, is_on: bool) -> None:
        self._is_on = is_on and threading.current_thread() is threading.main_thread()
        self._before: Any = None
        self.happened = False

    def __enter__(self) -> _Interrupt:
        if self._is_on and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: object) -> None:
        if self.happened:
            raise KeyboardInterrupt
        self.happened = True
        console.say("nicodec: ending the clip here; Ctrl-C again gives it up")

    def stop(self) -> bool:
        """Whether the clip is to end."""
        return self.happened


class Line:
    """A line on standard error that tells how far a clip is: frames a second, bit-rate, time left.

    Attributes:
        last: what was told last of the pass that is written; None before.

    """

    def __init__(self, name: str, shows: bool) -> None:
        self._name = name
        self._shows = shows and sys.stderr.isatty()
        self._what = ""
        self._start = time.perf_counter()
        self._bars: Any = None
        self._job: Any = None
        self.last: ClipProgress | None = None

    def __enter__(self) -> Line:
        if self._shows:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[text]}", markup=False),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bars.start()
            self._job = self._bars.add_task(self._name, total=None, text="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def watch(self, progress: ClipProgress) -> None:
        """Show it."""
        self.last = progress
        if self._bars is None:
            return
        if progress.what != self._what:
            self._what, self._start = progress.what, time.perf_counter()
            self._bars.reset(self._job, total=progress.of)
        self._bars.update(self._job, completed=progress.frames, total=progress.of, text=self.text(progress))

    def text(self, progress: ClipProgress) -> str:
        """What the line says of it."""
        passed = max(1e-3, time.perf_counter() - self._start)
        of = f"/{progress.of}" if progress.of else ""
        rate = f", {8 * progress.bytes / progress.seconds / 1000:.0f} kbit/s" if progress.seconds > 0 else ""
        return f"{progress.what} {progress.frames}{of} frames, {progress.frames / passed:.1f} a second{rate}"


# --- decompressing ------------------------------------------------------------------------------------------


def decompress_clip(task: Task, output: ClipOutput, *, limits: Limits, partial: bool, device: str) -> Done:
    """Decompress the clip of a task.

    Raises:
        NicodecError: as `nicodec.decompress_video` does.

    """
    from nicodec import container, video
    from nicodec.media.clip_writing import is_pattern
    from nicodec_cli.reports import Done

    start = time.perf_counter()
    suffix = output.format or (task.target.suffix if task.target is not None else "y4m")
    pattern = task.target if task.target is not None and is_pattern(str(task.target)) else None
    if pattern is None and f".{suffix.lower().lstrip('.')}" not in CLIP_OUTPUTS:
        known = ", ".join(CLIP_OUTPUTS)
        raise UsageError(f"{task.target_name}: clips are written as {known} or numbered pictures (%04d.png)")
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(Line(task.source_name, output.shows))
        file: Any = _source(task)
        if isinstance(file, Path):
            file = stack.enter_context(file.open("rb"))
        source = _Source(file)
        target: Any = (
            None
            if pattern
            else stack.enter_context(_opened_target(task, output.streams, output.overwrite, output.make_folders))
        )
        held = io.BytesIO()
        frames = video.decompress_video(
            source,
            pattern or target or held,
            encoder=output.encoder,
            format=None if pattern else suffix,
            partial=partial,
            limits=limits,
            device=device,
            overwrite=output.overwrite,
            watch=line.watch,
        )
        if pattern:
            size = sum(Path(str(pattern) % number).stat().st_size for number in range(1, frames + 1))
        else:
            size = target.tell() if target is not None and target.seekable() else len(held.getvalue())
    header = container.read_header(source.head, container.Limits(0, 0))
    return Done(
        data=None if pattern or target is not None else held.getvalue(),
        bytes_in=source.size,
        bytes_out=size,
        nic_bytes=source.size,
        width=header.width,
        height=header.height,
        quality=header.quality / 2,
        seconds=time.perf_counter() - start,
        frames=frames,
    )


class _Source:
    """A file that is read as it comes; counts its bytes and keeps the first."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.head = b""

    def read(self, size: int = -1) -> bytes:
        """Read what is there, at least a byte before the end."""
        data = self._file.read1(size) if isinstance(self._file, io.BufferedReader) else self._file.read(size)
        self.head = (self.head + data)[:64] if len(self.head) < 64 else self.head
        self.size += len(data)
        return data
