"""What steers an encoder of clips, frame by frame: rate control, and strategies that users bring.

A decoder knows nothing of it. Before each frame is coded, the control says what it wishes for it: more or less
quality, a key frame, the end of a group, a map of where an error counts.

    class Sharper(nicodec.EncoderControl):
        def wish(self, frame, spent):
            return nicodec.Wish(quality=6 if spent.frames % 10 == 0 else 0)

    nicodec.compress_video("in.mp4", "out.nic", control=Sharper())
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nicodec.codecs.clip import Wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nicodec.media.clips import ClipFormat, PlanarFrame

__all__ = ["BitrateControl", "Coded", "EncoderControl", "Plan", "Spent", "Together", "Wish"]


@dataclass(frozen=True)
class Coded:
    """What a frame cost.

    Attributes:
        pts: its time stamp, by which the control knows it.
        bytes: of its packet in the file.
        type: 0, 1, 2 for I, P, B, or the family's own.
        is_key: whether decoders may start at it.

    """

    pts: int
    bytes: int
    type: int
    is_key: bool


@dataclass(frozen=True)
class Spent:
    """What was spent so far.

    Attributes:
        frames: how many were given to the encoder before this one.
        coded: how many of them are written; an encoder may hold some back.
        bytes: of all that are written.
        new: those that were written since the control was asked last.

    """

    frames: int
    coded: int
    bytes: int
    new: tuple[Coded, ...]


class EncoderControl:
    """A strategy; override `wish`, and `start` where the clip's facts are needed. One is used for one clip."""

    def start(self, form: ClipFormat, quality: int) -> None:
        """Take what is known before the first frame.

        Args:
            form: of the clip.
            quality: half steps 0..200 that the codec is set to.

        """

    def wish(self, frame: PlanarFrame, spent: Spent) -> Wish:
        """Say what is wished for a frame; nothing in particular, unless overridden."""
        return Wish()

    def finish(self, spent: Spent) -> None:
        """Take what the last frames cost; nothing more is asked."""


class Together(EncoderControl):
    """Several controls at once: qualities are added, maps multiplied, and a key frame comes where one asks for it.

    A group ends where one says that it does, and does not where only others speak.
    """

    def __init__(self, *controls: EncoderControl) -> None:
        self._controls = controls

    def start(self, form: ClipFormat, quality: int) -> None:
        """See `EncoderControl.start`."""
        for control in self._controls:
            control.start(form, quality)

    def wish(self, frame: PlanarFrame, spent: Spent) -> Wish:
        """See `EncoderControl.wish`."""
        wishes = [control.wish(frame, spent) for control in self._controls]
        importance = None
        for wish in wishes:
            if wish.importance is not None:
                importance = wish.importance if importance is None else importance * wish.importance
        ends = [wish.ends_group for wish in wishes if wish.ends_group is not None]
        return Wish(
            sum(wish.quality for wish in wishes),
            any(wish.is_key for wish in wishes),
            importance,
            any(ends) if ends else None,
        )

    def finish(self, spent: Spent) -> None:
        """See `EncoderControl.finish`."""
        for control in self._controls:
            control.finish(spent)


DOUBLING = 36.0
"""Half steps of quality that double the bits, until a clip tells otherwise."""

STEP_MAX = 6
"""Half steps by which the wish changes from one frame to the next at most."""

HORIZON = 2.0
"""Seconds within which too much or too little is made good; also how often a key frame is expected."""


@dataclass(frozen=True)
class Plan:
    """What a first pass over the clip found.

    Attributes:
        costs: bits of each frame by its time stamp, at the quality that the second pass is set to.
        doubling: half steps that double them.

    """

    costs: dict[int, float]
    doubling: float = DOUBLING


class BitrateControl(EncoderControl):
    """Keeps the frames' bits at a rate.

    Without a plan it goes by what the frames so far cost, and needs no second look at the clip. With one it spreads
    the bits as a constant quality would, and corrects what the plan did not foresee.

    Attributes:
        reached: bits a second of the whole clip, once it is finished.

    Args:
        bits_per_second: of the frames' packets.
        plan: what a first pass found.
        doubling: half steps that double the bits, without a plan.
        seconds: how long the clip lasts; None takes what its file says.

    """

    def __init__(
        self,
        bits_per_second: float,
        plan: Plan | None = None,
        doubling: float = DOUBLING,
        seconds: float | None = None,
    ) -> None:
        self._known_seconds = seconds
        self._rate = bits_per_second
        self.reached: float | None = None
        self._plan = plan
        self._doubling = plan.doubling if plan else doubling
        self._quality = 0
        self._time_base, self._frame_time = 1.0, 1 / 30
        self._seconds: float | None = None
        self._first: int | None = None
        self._last_time = 0.0
        self._last_wish: int | None = None
        self._wishes: dict[int, int] = {}
        self._recent: deque[tuple[float, bool]] = deque(maxlen=100)
        self._left = sum(plan.costs.values()) if plan else 0.0

    def start(self, form: ClipFormat, quality: int) -> None:
        """See `EncoderControl.start`."""
        self._quality = quality
        self._time_base = float(form.time_base)
        self._frame_time = float(1 / form.rate) if form.rate else 1 / 30
        self._seconds = self._known_seconds or (float(form.seconds) if form.seconds else None)
        self._recent = deque(maxlen=max(8, round(HORIZON / self._frame_time)))

    def wish(self, frame: PlanarFrame, spent: Spent) -> Wish:
        """See `EncoderControl.wish`."""
        for coded in spent.new:
            bits = 8 * coded.bytes / 2 ** (self._wishes.pop(coded.pts, 0) / self._doubling)
            self._recent.append((bits, coded.is_key))
        self._first = frame.pts if self._first is None else self._first
        seconds = self._last_time = (frame.pts - self._first) * self._time_base
        change = self._planned(spent) if self._plan else self._followed(seconds, spent)
        wish = self._limited(change)
        self._wishes[frame.pts] = self._last_wish = wish
        if self._plan:
            self._left -= self._plan.costs.get(frame.pts, 0.0)
        return Wish(wish)

    def finish(self, spent: Spent) -> None:
        """See `EncoderControl.finish`."""
        if spent.frames > 1:
            lasts = self._last_time * spent.frames / (spent.frames - 1)
            self.reached = 8 * spent.bytes / max(1e-9, lasts)

    def _planned(self, spent: Spent) -> float:
        """The change by which what is left of the plan costs what is left of the budget."""
        assert self._plan is not None
        total = self._rate * (self._seconds or 0.0)
        pending = sum(
            self._plan.costs.get(pts, 0.0) * 2 ** (wish / self._doubling) for pts, wish in self._wishes.items()
        )
        budget = total - 8 * spent.bytes - pending
        if self._left <= 0:
            return self._last_wish or 0
        return self._doubling * math.log2(min(8.0, max(1 / 8, budget / self._left)))

    def _followed(self, seconds: float, spent: Spent) -> float:
        """The change by which frames like the last ones bring the whole to its rate within the horizon."""
        if not self._recent:
            return 0.0
        usual = self._usual_bits()
        pending = sum(usual * 2 ** (wish / self._doubling) for wish in self._wishes.values())
        debt = 8 * spent.bytes + pending - self._rate * seconds
        ahead = HORIZON
        if self._seconds is not None:
            ahead = max(4 * self._frame_time, min(HORIZON, self._seconds - seconds))
        wanted = max(self._rate / 4, min(4 * self._rate, self._rate - debt / ahead))
        return self._doubling * math.log2(wanted * self._frame_time / usual)

    def _usual_bits(self) -> float:
        """Bits of a frame at no wish, the key frames' share counted as if there were one each horizon."""
        others = [bits for bits, is_key in self._recent if not is_key]
        keys = [bits for bits, is_key in self._recent if is_key]
        if not others:
            return max(1.0, sum(keys) / len(keys))
        usual = sum(others) / len(others)
        if keys:
            usual += max(0.0, sum(keys) / len(keys) - usual) * self._share(len(keys))
        return max(1.0, usual)

    def _share(self, keys: int) -> float:
        """Key frames among frames."""
        expected = self._frame_time / HORIZON
        return max(expected, keys / len(self._recent)) if keys > 1 else expected

    def _limited(self, change: float) -> int:
        wish = round(change)
        if self._last_wish is not None:
            wish = max(self._last_wish - STEP_MAX, min(self._last_wish + STEP_MAX, wish))
        return max(-self._quality, min(200 - self._quality, wish))


def doubling_of(points: Sequence[tuple[int, float]]) -> float:
    """Half steps that double the bits, by (half steps, bits) of trials; within bounds that codecs keep to."""
    low, high = min(points), max(points)
    if high[0] - low[0] < 4 or high[1] <= low[1]:
        return DOUBLING
    return min(100.0, max(12.0, (high[0] - low[0]) / math.log2(high[1] / low[1])))
