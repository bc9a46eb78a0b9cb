"""Goals other than a quality: a bit-rate, a size, a PSNR."""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from nicodec.control import DOUBLING, HORIZON, BitrateControl, Plan, doubling_of
from nicodec.errors import InputError, QualityError
from nicodec.media.clips import ClipFormat, ClipItem, FrameSource
from nicodec.media.picture import LossyConversionWarning
from nicodec.quality import HALF_STEPS_MAX
from nicodec.video.passes import Costs, FirstFrames, Job, begin, encode_all, measure, measure_psnr

START = 100
"""Half steps of the first trial."""

TRIALS = 5
"""Trials on a clip's beginning."""

CLOSE = 0.08
"""A trial's rate may differ so much: in parts, as a natural logarithm."""

MISS = 0.05
"""A bit-rate that differs by more is told of."""

AIM = 0.985
"""Of a size, what the second pass aims at."""

ENOUGH_DB = 0.05
"""A PSNR this close above the goal is close enough."""

DB_A_HALF_STEP = 0.09
"""By how much PSNR grows, about."""


@dataclass(frozen=True)
class Goal:
    """What is wanted; one of the last three, or the quality.

    Attributes:
        quality: 0..100.
        bitrate: bits a second.
        max_bytes: of the whole file.
        psnr: dB.

    """

    quality: float
    bitrate: float | None = None
    max_bytes: int | None = None
    psnr: float | None = None


def encode_by_bitrate(job: Job, file: Any, bits_per_second: float) -> None:
    """Write the clip at a bit-rate: in two passes, or in one where it can be read only once."""
    start = begin(job.source())
    half_steps, doubling = _try_beginning(job, FirstFrames(start), bits_per_second)
    if not job.can_reopen:
        control = BitrateControl(bits_per_second, doubling=doubling)
        encode_all(job, file, half_steps, start, control)
        _tell_of_miss(control, bits_per_second)
        return
    costs, _ = measure(job, half_steps, start, "first pass")
    seconds = _seconds(costs, start.format)
    control = _second_pass(job, file, half_steps, costs, doubling, bits_per_second * seconds, seconds)
    _tell_of_miss(control, bits_per_second)


def _tell_of_miss(control: BitrateControl, wanted: float) -> None:
    """Warn where the rate was not kept, as where quality 0 costs more, or quality 100 less."""
    reached = control.reached
    if reached is not None and abs(reached / wanted - 1) > MISS:
        text = f"the bit-rate is {reached / 1000:.0f} kbit/s, {wanted / 1000:.0f} were asked for: "
        why = "quality 0 costs as much" if reached > wanted else "quality 100 needs no more"
        warnings.warn(f"{text}the clip is short, or {why}", LossyConversionWarning, stacklevel=4)


def encode_by_size(job: Job, file: BinaryIO, max_bytes: int) -> None:
    """Write the best clip of at most so many bytes."""
    _need_file(job, "a size")
    start = begin(job.source())
    guess = start.format.seconds or 10
    half_steps, doubling = _try_beginning(job, FirstFrames(start), 8 * max_bytes / float(guess))
    costs, size = measure(job, half_steps, start, "first pass")
    frame_bits = sum(costs.bits.values())
    beside = 8 * size - frame_bits
    aim = AIM
    for _ in range(4):
        budget = aim * (8 * max_bytes) - beside
        if budget <= 0:
            break
        file.seek(0)
        file.truncate()
        _second_pass(job, file, half_steps, costs, doubling, budget, _seconds(costs, start.format))
        found = file.tell()
        if found <= max_bytes:
            return
        aim *= AIM * max_bytes / found
    raise QualityError(
        f"the clip does not fit in {max_bytes} bytes (its frames beside sound, subtitles and heads of"
        f" {round(beside / 8)} bytes); give a larger size, or a smaller or shorter clip"
    )


def encode_by_psnr(job: Job, file: Any, wanted: float) -> None:
    """Write the smallest clip of at least a PSNR."""
    _need_file(job, "a PSNR")
    with tempfile.TemporaryFile() as trial, tempfile.TemporaryFile() as best:
        first = FirstFrames(begin(job.source()))
        guess = _bisect(lambda q: measure_psnr(job, q, trial, lambda: first, "trials"), wanted, START)
        tried: dict[int, float] = {}

        def attempt(half_steps: int) -> float:
            tried[half_steps] = found = measure_psnr(job, half_steps, trial, job.source, f"pass {len(tried) + 1}")
            reached = [q for q, psnr in tried.items() if psnr >= wanted]
            if found >= wanted and half_steps == min(reached):
                for held in (trial, best):
                    held.seek(0)
                best.truncate()
                shutil.copyfileobj(trial, best)
            return found

        _bisect(attempt, wanted, guess)
        if max(tried.values()) < wanted:
            raise QualityError(
                f"psnr {wanted:g} cannot be reached: quality 100 gives {max(tried.values()):.2f} dB; ask for less"
            )
        best.seek(0)
        shutil.copyfileobj(best, file)


def _bisect(attempt: Callable[[int], float], wanted: float, start: int) -> int:
    """The least half steps that give what is wanted, about; what they give grows with them."""
    low, high = -1, HALF_STEPS_MAX + 1  # the largest that does not, the smallest that does
    half_steps = start
    while high - low > 1:
        found = attempt(half_steps)
        if found >= wanted:
            high = half_steps
            if found - wanted < ENOUGH_DB:
                break
        else:
            low = half_steps
        step = round((wanted + ENOUGH_DB / 2 - found) / DB_A_HALF_STEP)
        guess = half_steps + (step or (1 if found < wanted else -1))
        half_steps = max(low + 1, min(high - 1, guess))
    return min(high, HALF_STEPS_MAX)


def _need_file(job: Job, what: str) -> None:
    if not job.can_reopen:
        raise InputError(f"{what} takes several passes, and this clip is read only once; give a file, or a bitrate")


def _try_beginning(job: Job, first: FirstFrames, bits_per_second: float) -> tuple[int, float]:
    """The half steps at which a clip that goes on like its beginning has the rate, and those that double the bits."""
    tried: list[tuple[int, float]] = []
    half_steps, doubling = START, DOUBLING
    for _ in range(TRIALS):
        costs, _size = measure(job, half_steps, first, "trials")
        rate = _steady_rate(costs, first.format)
        tried.append((half_steps, rate))
        if len(tried) > 1:
            doubling = doubling_of(tried)
        change = doubling * math.log2(bits_per_second / rate)
        following = max(0, min(HALF_STEPS_MAX, round(half_steps + change)))
        if abs(math.log(bits_per_second / rate)) < CLOSE or following in {q for q, _ in tried}:
            return following, doubling
        half_steps = following
    return half_steps, doubling


def _steady_rate(costs: Costs, form: ClipFormat) -> float:
    """Bits a second of a clip that goes on like this, with a key frame as often as is expected."""
    rate = float(form.rate or 25)
    keys = [costs.bits[pts] for pts in costs.keys]
    others = [bits for pts, bits in costs.bits.items() if pts not in set(costs.keys)]
    if not others:
        return max(1.0, rate * sum(keys) / max(1, len(keys)))
    usual = sum(others) / len(others)
    key = sum(keys) / len(keys) if keys else usual
    often = max(1 / HORIZON, rate * (len(keys) - 1) / len(costs.bits))
    return max(1.0, rate * usual + often * max(0.0, key - usual))


def _seconds(costs: Costs, form: ClipFormat) -> float:
    """How long the frames that were coded last: to the end of the last one."""
    times = sorted(costs.bits)
    if len(times) < 2:
        return float(1 / (form.rate or 25))
    step = (times[-1] - times[0]) / (len(times) - 1)
    return float((times[-1] - times[0] + step) * float(form.time_base))


def _second_pass(
    job: Job, file: Any, half_steps: int, costs: Costs, doubling: float, bits: float, seconds: float
) -> BitrateControl:
    """Write the clip with so many bits in its frames; return the control that saw to it."""
    change = doubling * math.log2(max(1.0, bits) / max(1.0, sum(costs.bits.values())))
    base = max(0, min(HALF_STEPS_MAX, round(half_steps + change)))
    scale = 2 ** ((base - half_steps) / doubling)
    plan = Plan({pts: cost * scale for pts, cost in costs.bits.items()}, doubling)
    source = job.source()
    form = dataclasses.replace(source.format, frames=len(costs.bits))
    control = BitrateControl(bits / seconds, plan, seconds=seconds)
    encode_all(job, file, base, _Known(form, source), control)
    return control


@dataclass(frozen=True)
class _Known:
    """A source of which a first pass found how many frames it has."""

    format: ClipFormat
    source: FrameSource

    def __iter__(self) -> Iterator[ClipItem]:
        """Give the items."""
        return iter(self.source)
