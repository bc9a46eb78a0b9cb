"""Spend bits where people look, without a network: python saliency.py IN OUT.nic [--bitrate B] [--codec NAME].

What stands out in a frame is what its spectrum does not expect (the spectral residual of Hou and Zhang, 2007), and
what moves. Both are computed on a small copy of the frame; the encoder is told, the decoder need not know.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn.functional as F

import nicodec


class Saliency(nicodec.EncoderControl):
    """A map of importance from the spectral residual and from what changed since the last frame.

    Args:
        strength: 0 for a flat map, 1 for one as strong as the saliency.

    """

    def __init__(self, strength: float = 0.7) -> None:
        self.strength = strength
        self.last: torch.Tensor | None = None

    def wish(self, frame, spent) -> nicodec.Wish:
        """Ask for the frame's own map."""
        y = torch.from_numpy(frame.y.astype(np.float32))[None, None] / 255
        rows, columns = -(-y.shape[2] // 16), -(-y.shape[3] // 16)
        small = F.interpolate(y, (64, 64), mode="area")[0, 0]
        motion = torch.zeros_like(small) if self.last is None else (small - self.last).abs()
        self.last = small
        salient = normal(smooth(residual(small))) + normal(smooth(motion))
        grid = F.adaptive_avg_pool2d(salient[None, None], (rows, columns))[0, 0]
        importance = 1 - self.strength + self.strength * grid / grid.mean().clamp(min=1e-6)
        return nicodec.Wish(importance=importance.clamp(0.2, 5))


def residual(picture: torch.Tensor) -> torch.Tensor:
    """What is left of a picture when the smooth part of its log spectrum is taken away."""
    spectrum = torch.fft.fft2(picture)
    log = torch.log(spectrum.abs() + 1e-8)
    rest = log - F.avg_pool2d(F.pad(log[None, None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0, 0]
    return torch.fft.ifft2(torch.polar(torch.exp(rest), spectrum.angle())).abs() ** 2


def smooth(picture: torch.Tensor) -> torch.Tensor:
    """A picture blurred over 9x9."""
    return F.avg_pool2d(F.pad(picture[None, None], (4, 4, 4, 4), mode="replicate"), 9, 1)[0, 0]


def normal(picture: torch.Tensor) -> torch.Tensor:
    """A picture whose mean is 1, or 0 where it is empty."""
    return picture / picture.mean().clamp(min=1e-8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--bitrate", type=float, help="bits a second")
    parser.add_argument("--codec", default=nicodec.DEFAULT_CLIP_CODEC)
    given = parser.parse_args()
    nicodec.compress_video(given.source, given.target, bitrate=given.bitrate, codec=given.codec, control=Saliency())
