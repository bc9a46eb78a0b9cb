"""What came of tasks, and how it is told: one line for one task, a table for several, and a count of a folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nicodec_cli import console

if TYPE_CHECKING:
    from nicodec.container import Header
    from nicodec_cli.tasks import Plan, Task


@dataclass(frozen=True)
class Done:
    """What came out of a task.

    Attributes:
        data: the bytes of the output; None once they are written.
        bytes_in, bytes_out: sizes of the input and of the output.
        nic_bytes: size of that one of the two which is the .nic file.
        width, height: of the picture, in pixels.
        quality: of the .nic file, 0..100.
        seconds: that reading, coding and decoding took; loading the model is not counted.
        frames: of a clip; 1 for a picture.

    """

    data: bytes | None
    bytes_in: int
    bytes_out: int
    nic_bytes: int
    width: int
    height: int
    quality: float
    seconds: float
    frames: int = 1

    @classmethod
    def of_picture(cls, data: bytes, header: Header, *, bytes_in: int, nic_bytes: int, start: float) -> Done:
        """What came of a picture with this header of its file; `start` is when the work on it began."""
        return cls(
            data=data,
            bytes_in=bytes_in,
            bytes_out=len(data),
            nic_bytes=nic_bytes,
            width=header.width,
            height=header.height,
            quality=header.quality / 2,
            seconds=time.perf_counter() - start,
        )

    @property
    def pixels(self) -> int:
        """Of all frames."""
        return self.width * self.height * max(1, self.frames)

    @property
    def bpp(self) -> float:
        """Bits of the .nic file over pixels."""
        return 8 * self.nic_bytes / self.pixels

    @property
    def grew(self) -> bool:
        """Whether the .nic file that was written is larger than its source."""
        return self.nic_bytes == self.bytes_out > self.bytes_in

    @property
    def ratio(self) -> str:
        """How many times smaller the .nic file is than the other file, in words."""
        return console.ratio_text(self.bytes_in + self.bytes_out - self.nic_bytes, self.nic_bytes)


@dataclass(frozen=True)
class Failed:
    """Why a task gave nothing: the message, and the exit code of its cause."""

    message: str
    exit_code: int


@dataclass(frozen=True)
class Skipped:
    """Nothing was done: the output exists already, and such tasks were to be skipped."""


Result = Done | Failed | Skipped


def grown(task: Task, done: Done) -> str:
    """The warning for a .nic file that is larger than its source."""
    sizes = f"{console.bytes_text(done.bytes_out)}, {console.bytes_text(done.bytes_in)}"
    return f"{task.target_name}: is larger than {task.source_name} ({sizes}); keep that, or give a smaller -q"


def report(plan: Plan, results: dict[Task, Result], seconds: float, quiet: bool, remedies: dict[str, str]) -> None:
    """Tell on standard error what was done.

    Of folders every file is accounted for; if `quiet`, in one line, and only where something was left out.
    """
    done = {task: result for task, result in results.items() if isinstance(result, Done)}
    if quiet:
        if plan.found.left_out:
            console.warning(_count(plan, results) + f", {plan.found.left_out_words()} left out")
        return
    if len(results) == 1:
        for task, result in results.items():
            if isinstance(result, Done):
                console.say(_line(task, result))
            elif isinstance(result, Skipped):
                console.say(f"{task.source_name}: skipped, {task.target_name} exists")
    elif done:
        rows = [_row(task, result) for task, result in done.items()]
        if len(done) > 1:
            rows.append(_total(list(done.values()), seconds))
        for line in console.table(["", "in", "out", "bpp", "ratio", "time"], rows):
            console.say(line)
    if plan.found.folders:
        left_out = plan.found.left_out_count
        console.say(_count(plan, results) + (f", {left_out} left out:" if left_out else ""))
        for line in plan.found.left_out_lines(remedies):
            console.say(line)
    elif len(results) > 1 and len(done) < len(results):
        console.say(_count(plan, results))


def _count(plan: Plan, results: dict[Task, Result]) -> str:
    """How many files there were, and what came of them; those left out are counted and not told."""
    kinds = [type(result) for result in results.values()]
    parts = [f"{kinds.count(Done)} done"]
    if skipped := kinds.count(Skipped):
        parts.append(f"{skipped} skipped (the output exists)")
    if failed := kinds.count(Failed):
        parts.append(f"{failed} failed (see above)")
    total = len(results) + plan.found.left_out_count
    if unreadable := len(plan.found.unreadable):
        parts.append(f"{unreadable} folder{'s' * (unreadable > 1)} not read (see above)")
    return f"{total} file{'s' * (total != 1)}: {', '.join(parts)}"


def _line(task: Task, done: Done) -> str:
    return (
        f"{task.source_name} -> {task.target_name}: {done.width}x{done.height}{_frames(done)}, "
        f"{console.bytes_text(done.bytes_in)} -> {console.bytes_text(done.bytes_out)} ({done.ratio}), "
        f"{done.bpp:.3f} bpp, quality {done.quality:g}, {done.seconds:.2f} s"
    )


def _frames(done: Done) -> str:
    return f", {done.frames} frames" if done.frames != 1 else ""


def _row(task: Task, done: Done) -> list[str]:
    return [
        task.source_name,
        console.bytes_text(done.bytes_in),
        console.bytes_text(done.bytes_out),
        f"{done.bpp:.3f}",
        done.ratio,
        f"{done.seconds:.2f} s",
    ]


def _total(done: list[Done], seconds: float) -> list[str]:
    """Give the last row: sums, the bits of all files over all pixels, and the time that passed."""
    bytes_in, bytes_out = sum(d.bytes_in for d in done), sum(d.bytes_out for d in done)
    nic_bytes, pixels = sum(d.nic_bytes for d in done), sum(d.pixels for d in done)
    return [
        "all",
        console.bytes_text(bytes_in),
        console.bytes_text(bytes_out),
        f"{8 * nic_bytes / pixels:.3f}",
        console.ratio_text(bytes_in + bytes_out - nic_bytes, nic_bytes),
        f"{seconds:.2f} s",
    ]
