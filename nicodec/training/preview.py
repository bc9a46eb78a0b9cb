"""Rate and distortion on held-out pictures, estimated, at intervals of the training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nicodec.codecs.latent import LatentCodec

LOOKED_AT = 6
"""Held-out pictures that every preview looks at, the first ones: however long it takes, they are always the same."""

SIDE = 512
QUALITIES = (10, 30, 50, 70, 90)


def preview_pictures(pictures: Sequence[Tensor], alignment: int) -> list[Tensor]:
    """What a preview looks at of pictures (3, H, W) uint8: the middles of the first ones that are large enough.

    They are (1, 3, H, W) float32, of sides that are at most 512 and that the codec takes unpadded.
    """
    middles: list[Tensor] = []
    for picture in pictures:
        if len(middles) == LOOKED_AT:
            break
        height, width = (min(SIDE, side) // alignment * alignment for side in picture.shape[1:])
        if height and width:
            top, left = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
            middles.append(picture[None, :, top : top + height, left : left + width].float() / 255)
    return middles


@torch.no_grad()
def preview(
    codec: LatentCodec, pictures: Sequence[Tensor], device: torch.device, *, bfloat16: bool
) -> list[dict[str, float]]:
    """Measure a codec in evaluation mode (integers derived) at five qualities.

    Args:
        codec: on `device`.
        pictures: (1, 3, H, W) each.
        device: where to measure.
        bfloat16: whether to decode in it.

    Returns:
        For each quality: means over the pictures of the estimated bpp and of the PSNR in dB of 8-bit pixels.

    """
    rates: dict[int, list[float]] = {quality: [] for quality in QUALITIES}
    psnrs: dict[int, list[float]] = {quality: [] for quality in QUALITIES}
    for x in pictures:
        for quality in QUALITIES:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
                x_hat, bits = codec(x.to(device), torch.tensor([2 * quality], device=device))
            pixels = (x_hat.float().clamp(0, 1) * 255).round().cpu() / 255
            rates[quality].append(float(bits) / (x.shape[2] * x.shape[3]))
            psnrs[quality].append(float(-10 * torch.log10((pixels - x).square().mean().clamp(min=1e-10))))
    if not pictures:
        return []
    count = len(pictures)
    return [{"quality": q, "bpp": sum(rates[q]) / count, "psnr": sum(psnrs[q]) / count} for q in QUALITIES]
