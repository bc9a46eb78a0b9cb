"""A smaller file of a picture in levels: its last ones left out, nothing coded anew."""

from bisect import bisect_right
from dataclasses import replace

from nicodec.container.limits import Limits
from nicodec.container.picture import StoredPicture
from nicodec.container.picture_reader import parse_picture
from nicodec.container.picture_writer import write_picture
from nicodec.errors import InputError, QualityError

_NO_LIMIT = Limits(0, 0, 0)


def shorten_picture(data: bytes, max_bytes: int, *, icc: bool = True, exif: bool = True, xmp: bool = True) -> bytes:
    """Return the file of as many of the picture's first levels as fit in `max_bytes`.

    Args:
        data: a whole file; one that fits as it is comes back as it is.
        max_bytes: most bytes of the result.
        icc: whether the picture keeps it.
        exif: likewise.
        xmp: likewise.

    Raises:
        QualityError: not even the first level fits.
        InputError: the picture does not fit and has no levels, or it is a clip.
        StreamError: as `parse_picture`.

    """
    stored = parse_picture(data, _NO_LIMIT).picture
    kept = replace(
        stored,
        icc=stored.icc if icc else None,
        exif=stored.exif if exif else None,
        xmp=stored.xmp if xmp else None,
    )
    whole = bytes(data) if kept == stored else write_picture(kept)
    if len(whole) <= max_bytes:
        return whole
    if not stored.is_in_levels:
        raise InputError(
            f"the picture has {len(whole)} bytes and no levels that could be left out to make it {max_bytes}:"
            " compress the original anew, with so many bytes as its size"
        )
    fitting = bisect_right(range(1, stored.levels), max_bytes, key=lambda count: len(_of_levels(kept, count)))
    if not fitting:
        raise QualityError(
            f"{max_bytes} bytes cannot be reached: the first level and what is before it have"
            f" {len(_of_levels(kept, 1))}; ask for these, or drop metadata"
        )
    return _of_levels(kept, fitting)


def _of_levels(picture: StoredPicture, count: int) -> bytes:
    return write_picture(picture.first_levels(count))
