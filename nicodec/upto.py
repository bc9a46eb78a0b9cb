"""Less than all of a picture in levels: so many levels, bytes, or a share of the file's bytes."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from nicodec import checks, container
from nicodec.errors import QualityError
from nicodec.sizes import size_in_bytes

FORMS = 'give a share of the file ("30%"), a number of bytes ("20kB"), or a number of levels (3)'


@dataclass(frozen=True)
class Upto:
    """How far a file is to be decoded; one of the three is not None.

    Attributes:
        levels: at most so many levels, 1 or more.
        size: the levels that are whole in so many bytes of the file.
        share: the levels that are whole in so much of the file, above 0 to 1.

    """

    levels: int | None = None
    size: int | None = None
    share: float | None = None

    @classmethod
    def of(cls, value: object) -> Upto:
        """What a user gave: a whole number of levels, or a text.

        Raises:
            QualityError: it is neither, or out of range.

        """
        if not isinstance(value, str):
            return cls(levels=checks.whole_number("upto", value, 1))
        text = value.strip()
        if re.fullmatch(r"\d{1,9}", text, re.ASCII):
            return cls(levels=checks.whole_number("upto", int(text), 1))
        if match := re.fullmatch(r"(\d{1,3}(?:\.\d*)?|\.\d+)\s*%", text, re.ASCII):
            if not 0 < float(match[1]) <= 100:
                raise QualityError(f"upto {value} is out of range: give a share above 0 % and up to 100 %")
            return cls(share=float(match[1]) / 100)
        size = size_in_bytes(text)
        if size is None:
            raise QualityError(f"upto {value!r} is none of its forms: {FORMS}")
        return cls(size=checks.whole_number("upto", size, 1))

    def part_of(self, file: container.PictureFile) -> container.StoredPicture:
        """What is to be decoded of a file.

        Raises:
            QualityError: the file has no levels, or so few bytes hold none.

        """
        stored = file.picture
        if stored.lost and not stored.packets:
            return stored  # of which there is nothing to decode, as whoever tries will say
        if not stored.is_in_levels:
            raise QualityError("the file has no levels, and is decoded as a whole: leave upto out")
        size = file.size if self.size is None else self.size
        if self.share is not None:
            size = round(self.share * file.size)
        ends = [span.stop for span in file.packet_spans]
        count = bisect_right(ends, size)
        if not count:
            raise QualityError(
                f"the first {size} bytes of the file hold no level, the first one ends at byte {ends[0]}: give more"
            )
        count = min(count, count if self.levels is None else self.levels)
        return stored.first_levels(count) if count <= stored.levels else stored


def read_part(
    data: bytes, limits: container.Limits, *, partial: bool = False, upto: object = None
) -> container.StoredPicture:
    """What is to be decoded of a file.

    Args:
        data: the file.
        limits: what may be spent on it.
        partial: whether a file of packets may be cut short or damaged.
        upto: as `Upto.of` takes it; None: all.

    Raises:
        QualityError: see `Upto`.
        StreamError, LimitError: as `container.parse_picture`.

    """
    wanted = None if upto is None else Upto.of(upto)
    file = container.parse_picture(data, limits, partial)
    return file.picture if wanted is None else wanted.part_of(file)
