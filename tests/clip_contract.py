"""Whether a clip is the same symbols in every setting: python -m tests.clip_contract CLIP [FRAMES] [OPTION=VALUE ...]

Encodes the first frames in one setting of the numbers contract (docs/design.md), decodes them in all, and prints a
line for each: a hash of all symbols, and how far pixels are from those of the first setting.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from unittest import mock

import numpy as np
import torch
from torch import Tensor

import nicodec
from nicodec.entropy.coder import PictureReader
from nicodec.entropy.priors import Prior
from nicodec.media.clip_reading import ClipFile
from nicodec.media.clips import FrameList, PlanarFrame

from .test_numbers_contract import SETTINGS, setting


@contextlib.contextmanager
def numbers(name: str) -> Iterator[None]:
    """One of the contract's settings, for the public functions too, which choose a precision themselves."""
    bfloat16 = SETTINGS[name].get("bfloat16", False)
    with setting(**SETTINGS[name]), mock.patch("nicodec.loading.prefers_bfloat16", return_value=bfloat16):
        yield


def decoded(data: bytes) -> tuple[str, list[PlanarFrame]]:
    """SHA-256 of all symbols of a clip, whatever the order its frames are decoded in, and the frames."""
    digests: dict[PictureReader, hashlib._Hash] = {}
    read = PictureReader.code

    def hashed(self: PictureReader, value: Tensor | None, prior: Prior) -> Tensor:
        symbols = read(self, value, prior)
        digests.setdefault(self, hashlib.sha256()).update(symbols.to(torch.int32).numpy().astype("<i4").tobytes())
        return symbols

    with mock.patch.object(PictureReader, "code", hashed):
        frames = list(nicodec.VideoReader(io.BytesIO(data)))
    whole = hashlib.sha256(b"".join(sorted(digest.digest() for digest in digests.values())))
    return whole.hexdigest(), frames


def farthest(frames: Sequence[PlanarFrame], others: Sequence[PlanarFrame]) -> int:
    """The largest difference of a sample."""
    pairs = [(a, b) for f, g in zip(frames, others, strict=True) for a, b in ((f.y, g.y), (f.u, g.u), (f.v, g.v))]
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)


def main(name: str, count: str = "96", *options: str) -> None:
    """Print the table; fail where symbols differ."""
    file = ClipFile(name)
    frames = tuple(islice((item for item in file if isinstance(item, PlanarFrame)), int(count)))
    clip = FrameList(frames, replace(file.format, streams=()))
    chosen = {key: int(value) for key, value in (option.split("=") for option in options)}
    for written in ("one thread", "bfloat16, two threads"):
        with numbers(written):
            data = nicodec.compress_video(clip, quality=40, **chosen)
        assert data is not None
        print(f"{len(frames)} frames, {len(data)} bytes, written with {written}", flush=True)
        first: tuple[str, list[PlanarFrame]] | None = None
        for read in SETTINGS:
            with numbers(read):
                found = decoded(data)
            first = first or found
            print(f"    {read:24} {found[0][:16]}  {farthest(first[1], found[1])} levels", flush=True)
            if found[0] != first[0]:
                raise SystemExit("symbols differ")


if __name__ == "__main__":
    main(*sys.argv[1:])
