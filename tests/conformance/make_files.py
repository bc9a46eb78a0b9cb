"""Write the conformance files of installed models of pictures: python -m tests.conformance.make_files [CODEC ...]

Without a name, of all codecs in CASES. Run it only when a model is released; files of released models stay as they
are, and decode for ever.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

import nicodec
from nicodec import container
from nicodec.entropy.coder import PictureReader, Stream
from nicodec.entropy.priors import Prior
from nicodec.zoo import find_model, load_codec

from ..conftest import smooth_picture

FOLDER = Path(__file__).parent
CASES: dict[str, dict[str, tuple[np.ndarray, float, dict[str, Any]]]] = {
    "hyperprior": {
        "colour-q10": (smooth_picture(120, 200, 1), 10, {}),
        "colour-q50": (smooth_picture(100, 76, 2), 50, {}),
        "colour-q100": (smooth_picture(40, 70, 3), 100, {}),
        "grey-q40": (smooth_picture(90, 90, 4)[..., 0], 40, {}),
        "alpha-q30": (np.dstack([smooth_picture(64, 64, 5), smooth_picture(64, 64, 6)[..., 1]]), 30, {}),
        "one-pixel-q90": (np.full((1, 1, 3), (10, 200, 90), dtype=np.uint8), 90, {}),
    },
    "splat": {
        "splat-colour": (smooth_picture(120, 200, 1), 60, {}),
        "splat-grey": (smooth_picture(50, 40, 4)[..., 0], 80, {}),
    },
    "hvae": {
        "hvae-q20": (smooth_picture(120, 200, 1), 20, {}),
        "hvae-q80": (smooth_picture(100, 76, 2), 80, {}),
        "hvae-grey-q20": (smooth_picture(90, 90, 4)[..., 0], 20, {}),
        "hvae-alpha-q50": (np.dstack([smooth_picture(64, 64, 5), smooth_picture(64, 64, 6)[..., 1]]), 50, {}),
    },
    "lossless": {"lossless-colour": (smooth_picture(70, 90, 7), 100, {})},
    "vqgan": {
        "vqgan-q0": (smooth_picture(120, 200, 1), 0, {}),
        "vqgan-q30": (smooth_picture(140, 76, 2), 30, {}),
        "vqgan-q100": (smooth_picture(130, 170, 3), 100, {}),
        "vqgan-drawing": (
            np.eye(8, dtype=np.uint8).repeat(12, 0).repeat(12, 1)[..., None] * np.uint8([200, 90, 30]),
            60,
            {},
        ),
        "vqgan-packets": (smooth_picture(120, 200, 1), 60, {"packets": 4}),
    },
    "mcquic": {
        "mcquic-q20": (smooth_picture(120, 200, 1), 20, {}),
        "mcquic-q80": (smooth_picture(130, 170, 3), 80, {}),
    },
}
"""By codec and name of the file: picture, quality, options."""


def symbols_hash(data: bytes) -> str:
    """SHA-256 of all symbols of a file, as 32-bit little-endian integers in the order of decoding."""
    stored = container.read_picture(data)
    codec = load_codec(find_model(stored.header.model), torch.device("cpu"))
    size = tuple(
        -(-side // codec.alignment) * codec.alignment for side in (stored.header.height, stored.header.width)
    )
    digest = hashlib.sha256()
    read = PictureReader.code

    def hashed(self: PictureReader, value: Tensor | None, prior: Prior) -> Tensor:
        symbols = read(self, value, prior)
        digest.update(symbols.to(torch.int32).numpy().astype("<i4").tobytes())
        return symbols

    packets = tuple(Stream(packet.data, packet.symbol_checksum) for packet in stored.packets)
    streams = packets or (Stream(stored.payload, stored.symbol_checksum),)
    with torch.inference_mode(), mock.patch.object(PictureReader, "code", hashed):
        codec.decode([streams], size, torch.tensor([stored.header.quality]))
    return digest.hexdigest()


def facts(data: bytes) -> dict[str, object]:
    """What a file must give for ever: its symbols exactly, its pixels to within a level."""
    image = nicodec.decompress(data)
    pixels = np.asarray(image).astype(np.float64)
    return {
        "mode": image.mode,
        "size": list(image.size),
        "symbols": symbols_hash(data),
        "row": np.asarray(image)[image.height // 2].ravel().tolist(),
        "mean": round(float(pixels.mean()), 3),
    }


def main() -> None:
    """Write the files of the codecs that are named, and facts.json."""
    known = json.loads((FOLDER / "facts.json").read_text())
    for codec in sys.argv[1:] or CASES:
        for name, (picture, quality, options) in CASES[codec].items():
            data = nicodec.compress(picture, quality, codec=codec, **options)
            (FOLDER / f"{name}.nic").write_bytes(data)
            known[name] = facts(data)
    (FOLDER / "facts.json").write_text(json.dumps(known, separators=(",", ":")).replace("},", "},\n") + "\n")


if __name__ == "__main__":
    main()
