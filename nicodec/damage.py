"""Damaged files: the warning that one was not decoded wholly, and files as a lossy line would deliver them."""

from __future__ import annotations

import random

from nicodec.container import Limits, parse_picture
from nicodec.errors import InputError


class DamageWarning(UserWarning):
    """Parts of a damaged file are lost; the message says which."""


def without_packets(data: bytes, loss: float, *, burst: int = 1, seed: int = 0) -> tuple[bytes, list[int]]:
    """Cut packets out of a picture's file.

    Args:
        data: the file.
        loss: share of the packets, above 0 and at most 1; at least one packet goes, and one stays.
        burst: how many go in a row, where there are enough.
        seed: of the choice.

    Returns:
        The damaged file, and the numbers of the packets that it lacks.

    Raises:
        InputError: the picture is not in packets, or has only one.
        StreamError: the file is damaged already.

    """
    parsed = parse_picture(data, Limits(0, 0, 0, 0))
    count = parsed.picture.packet_count
    if count < 2:
        raise InputError("the picture is not in several packets; compress it with --packets 8, say")
    wanted = min(count - 1, max(1, round(loss * count)))
    choice = random.Random(seed)
    lost: set[int] = set()
    while len(lost) < wanted:
        start = choice.randrange(count)
        for number in range(start, min(count, start + max(1, burst))):
            if len(lost) < wanted:
                lost.add(number)
    kept, last = bytearray(), 0
    for number in sorted(lost):
        span = parsed.packet_spans[number]
        kept += data[last : span.start]
        last = span.stop
    return bytes(kept + data[last:]), sorted(lost)
