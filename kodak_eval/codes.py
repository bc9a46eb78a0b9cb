"""What a codec of codes does with its bits; run it as `python -m kodak_eval.codes MODEL FOLDER [FOLDER ...]`.

Three tables, for the model's card: bits of the indices at a fixed length, by static frequencies, by context and by
the levels before alone; the share of each codebook that is used; and what lost packets take from MS-SSIM.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import nicodec
from kodak_eval.metrics import ms_ssim
from nicodec.codecs.codes import CodesCodec, Known, Mode
from nicodec.damage import DamageWarning, without_packets
from nicodec.entropy.coder import RateEstimator
from nicodec.loading import fast_float
from nicodec.model import Model

QUALITIES = (0, 5, 10, 20, 30, 45, 60, 80, 100)
SUFFIXES = {".png", ".avif", ".webp", ".jpg", ".jpeg"}


def level_bits(codec: CodesCodec, indices: Sequence[torch.Tensor], size: tuple[int, int], quality: int, mode: Mode):
    """Return the bits of each level's indices, coded in one way."""
    bits, known = [], Known(codec.network, size)
    for own in indices:
        coder = RateEstimator(noise=False)
        codec.code_level(coder, own, known, quality, mode)
        bits.append(float(coder.bits))
        known.indices.append(own.flatten())
    return bits


def padded(pixels: np.ndarray, alignment: int) -> torch.Tensor:
    """Return (1, 3, H, W) in [0, 1], the last row and column repeated up to whole multiples."""
    missing = [(0, -side % alignment) for side in pixels.shape[:2]]
    whole = np.pad(pixels, [*missing, (0, 0)], mode="edge")
    return torch.from_numpy(whole).permute(2, 0, 1)[None].float() / 255


def bits_and_use(model: Model, pictures: Iterable[np.ndarray], qualities: Sequence[float]):
    """Return what is summed over pictures by quality and level, and the use of codebooks.

    The sums are of pixels, indices, and bits in each `Mode`. The use is, for each level, how many of its codes were
    chosen at any of the qualities, and how many there are.
    """
    codec = model.codec
    assert isinstance(codec, CodesCodec)
    rows: dict[tuple[float, int], np.ndarray] = {}
    seen = [torch.zeros(level.codes, dtype=torch.bool) for level in codec.network.each_level()]
    for pixels in pictures:
        x = padded(pixels, codec.alignment)
        size = (x.shape[2], x.shape[3])
        for quality in qualities:
            half_steps = round(2 * quality)
            with fast_float(model.device):
                latents = codec.network.analyse(x.to(model.device), torch.tensor([half_steps], device=model.device))
                indices = codec.network.indices(latents, half_steps)
                costs = [level_bits(codec, indices, size, half_steps, mode) for mode in Mode]
            for level, (own, *bits) in enumerate(zip(indices, *costs, strict=True)):
                seen[level][own.unique().cpu()] = True
                row = rows.setdefault((quality, level), np.zeros(2 + len(Mode)))
                row += (pixels.shape[0] * pixels.shape[1], own.numel(), *bits)
    return rows, [(int(each.sum()), len(each)) for each in seen]


def loss_of(model: Model, pixels: np.ndarray, quality: float, packets: int, loss: float, seed: int) -> np.ndarray:
    """Return MS-SSIM of the undamaged and of the repaired decode, between the two, and the share of extra bytes."""
    picture = Image.fromarray(pixels)
    whole = model.compress(picture, quality)
    pieces = model.compress(picture, quality, packets=packets)
    damaged, _ = without_packets(pieces, loss, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        repaired = np.asarray(model.decompress(damaged, repair=True).convert("RGB"))
    undamaged = np.asarray(model.decompress(pieces).convert("RGB"))
    similar = (ms_ssim(pixels, undamaged), ms_ssim(pixels, repaired), ms_ssim(undamaged, repaired))
    return np.array([*similar, len(pieces) / len(whole) - 1])


def pictures_of(folders: Sequence[Path], limit: int) -> Iterable[np.ndarray]:
    """Yield (H, W, 3) uint8 of the first pictures of each folder."""
    for folder in folders:
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
        for file in files[: limit or None]:
            yield np.asarray(Image.open(file).convert("RGB"))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=0, help="pictures of each folder; 0: all")
    parser.add_argument("--qualities", type=float, nargs="+", default=QUALITIES)
    parser.add_argument("--packets", type=int, default=20)
    parser.add_argument("--loss", type=float, default=0.2, help="of the packets; 0: no table of losses")
    given = parser.parse_args()
    model = nicodec.load(given.model)
    rows, use = bits_and_use(model, pictures_of(given.folders, given.limit), given.qualities)
    print("quality level   fixed bpp  static bpp context bpp  before bpp   bits an index, each")
    for quality in given.qualities:
        own = {level: row for (q, level), row in rows.items() if q == quality}
        for level, (pixels, count, *bits) in own.items():
            print(f"{quality:7g} {level:5d}   {_bpp(bits, pixels)}   " + " ".join(f"{b / count:6.2f}" for b in bits))
        pixels = own[0][0]
        fixed, static, context, before = sum(row[2:] for row in own.values())
        best = sum(min(row[2:]) for row in own.values())
        sums = {"static": static, "context": context, "before": before, "best": best}
        text = ", ".join(f"{name} {part / fixed - 1:+.1%}" for name, part in sums.items())
        saved = f"; best against static {best / static - 1:+.1%}"
        print(f"{quality:7g}   all   {_bpp((fixed, static, context, before), pixels)}   {text}{saved}")
    print("codes used: " + ", ".join(f"{used} of {codes} ({used / codes:.1%})" for used, codes in use))
    if given.loss:
        heads = "MS-SSIM undamaged, repaired, loss; between the two; extra bytes"
        print(f"{given.loss:.0%} of {given.packets} packets lost: {heads}")
        for quality in given.qualities:
            pictures = enumerate(pictures_of(given.folders, given.limit))
            found = [loss_of(model, each, quality, given.packets, given.loss, seed) for seed, each in pictures]
            whole, repaired, between, extra = np.mean(found, 0)
            print(f"{quality:7g}  {whole:.4f} {repaired:.4f} {whole - repaired:.4f}; {between:.4f}; {extra:+.1%}")


def _bpp(bits: Iterable[float], pixels: float) -> str:
    return " ".join(f"{each / pixels:11.5f}" for each in bits)


if __name__ == "__main__":
    main()
