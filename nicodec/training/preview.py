"""Rate and distortion on held-out pictures, estimated, at intervals of the training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from nicodec.codecs.base import Codec
from nicodec.processor import prefers_bfloat16
from nicodec.training.data import read_pixels

SIDE = 512
QUALITIES = (10, 30, 50, 70, 90)


class PreviewPoint(NamedTuple):
    """Means over the held-out pictures: estimated bpp, PSNR in dB of 8-bit pixels."""

    quality: int
    bpp: float
    psnr: float


def preview_pictures(paths: Sequence[Path], alignment: int) -> list[Tensor]:
    """Middles of pictures, (1, 3, H, W) float32 with sides at most 512 that the codec takes unpadded."""
    pictures = []
    for path in paths:
        x = read_pixels(path)[0][None].float() / 255
        height, width = (min(SIDE, side // alignment * alignment) for side in x.shape[2:])
        if height and width:
            top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
            pictures.append(x[:, :, top : top + height, left : left + width])
    return pictures


@torch.no_grad()
def preview(codec: Codec, pictures: Sequence[Tensor], device: torch.device) -> list[PreviewPoint]:
    """Measure a codec in evaluation mode (integers derived) at five qualities."""
    points = []
    for quality in QUALITIES:
        rates, psnrs = [], []
        for x in pictures:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=prefers_bfloat16(device.type)):
                x_hat, bits = codec(x.to(device), torch.tensor([2 * quality], device=device))
            pixels = (x_hat.float().clamp(0, 1) * 255).round().cpu() / 255
            rates.append(float(bits) / (x.shape[2] * x.shape[3]))
            psnrs.append(float(-10 * torch.log10((pixels - x).square().mean().clamp(min=1e-10))))
        points.append(PreviewPoint(quality, sum(rates) / len(rates), sum(psnrs) / len(psnrs)))
    return points
