"""Checks of what users pass: any type and any value end in the right thing or in one clear error."""

from __future__ import annotations

import math
import numbers
import operator

from nicodec.errors import QualityError


def number(name: str, value: object, low: float, high: float, range_text: str = "") -> float:
    """A finite number from `low` to `high` as a float; numpy's scalars and the like are numbers, too.

    Raises:
        QualityError: it is none; the message says `range_text`, or the range.

    """
    wanted = range_text or range_words(low, high)
    if isinstance(value, (bool, str, bytes)) or not isinstance(value, numbers.Real):
        raise QualityError(f"{name} {value!r} is not a number: give one {wanted}")
    try:
        found = float(value)
    except OverflowError:  # of a whole number of hundreds of digits
        found = math.inf
    if not math.isfinite(found) or not low <= found <= high:
        raise QualityError(f"{name} {found:g} is out of range: give a number {wanted}")
    return found


def whole_number(name: str, value: object, low: int, high: int | None = None) -> int:
    """A whole number from `low` to `high` (None: no bound) as an int.

    Raises:
        QualityError: it is none.

    """
    wanted = range_words(low, math.inf if high is None else high)
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        found = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise QualityError(f"{name} {value!r} is not a whole number: give one {wanted}") from None
    if found < low or (high is not None and found > high):
        raise QualityError(f"{name} {found} is out of range: give a whole number {wanted}")
    return found


def width_and_height(name: str, value: object) -> tuple[int, int]:
    """Two whole numbers of at least 1: a width and a height in pixels.

    Raises:
        QualityError: they are not.

    """
    if isinstance(value, (str, bytes)):
        raise QualityError(f"{name} {value!r}: give a width and a height in pixels, such as (640, 480)")
    try:
        width, height = list(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise QualityError(f"{name} {value!r}: give a width and a height in pixels, such as (640, 480)") from None
    return whole_number(f"width of {name}", width, 1), whole_number(f"height of {name}", height, 1)


def range_words(low: float, high: float) -> str:
    """A range in words: "from 1 to 9", "of 1 or more"."""
    if math.isinf(high):
        return f"of {low:g} or more"
    return f"from {low:g} to {high:g}"
