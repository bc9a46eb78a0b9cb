"""A codec of clips small enough for tests, and clips for it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from nicodec.codecs.clip import Frame
from nicodec.codecs.latent import LatentCodec
from nicodec.codecs.video import Video
from nicodec.codecs.video_network import VideoConfig
from nicodec.codecs.video_start import start_from

from .conftest import smooth_picture, tiny_codec

TINY_VIDEO = {
    "latents": 24,
    "coarse_latents": 16,
    "split": 8,
    "context": 16,
    "coarse_context": 16,
    "memory": 8,
    "vector_width": 12,
    "hyper": 16,
    "hyper_latents": 8,
    "hyper_context": 12,
    "scale_hyper": 8,
    "scale_context": 12,
    "context_blocks": 1,
    "analysis_blocks": (1, 1),
    "synthesis_blocks": (1, 1),
}


def tiny_video(**changes: object) -> Video:
    """Drawn principal components and random blocks, integers derived, in evaluation mode, with a tiny intra model."""
    pictures = tiny_codec()
    assert isinstance(pictures, LatentCodec)
    torch.manual_seed(1)
    codec = Video(VideoConfig(**{**TINY_VIDEO, **changes}))  # type: ignore[arg-type]
    shape = torch.linspace(1, 0.05, 96)[:, None, None]
    start_from(codec, 0.1 * shape * torch.randn(3000, 96, 1, 1) + 0.02 * torch.randn(3000, 96, 2, 2))
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            if "log_" not in name and not name.startswith(("to_fine", "to_latents", "to_rest", "from_")):
                parameter.add_(0.02 * torch.randn_like(parameter))
    codec.to_integers()
    codec.borrow(codec.config.intra, pictures)
    return codec.eval().requires_grad_(False)


def moving_clip(count: int, height: int, width: int, seed: int = 0, speed: float = 2.0) -> list[Frame]:
    """A picture that moves, and a square before it that moves otherwise."""
    random = np.random.default_rng(seed)
    wide = smooth_picture(height + 96, width + 96, seed).astype(np.float32).mean(2) / 255
    square = random.uniform(0.2, 0.8, (24, 24)).astype(np.float32)
    chroma = (-(-height // 2), -(-width // 2))
    frames = []
    for number in range(count):
        top, left = (round(speed * number * share) % 96 for share in (0.5, 1.0))
        y = torch.from_numpy(wide[top : top + height, left : left + width].copy())
        row, column = round(3 * number) % max(1, height - 24), round(number) % max(1, width - 24)
        part = y[row : row + 24, column : column + 24]
        part.copy_(torch.from_numpy(square[: part.shape[0], : part.shape[1]]))
        u = F.interpolate(y[None, None], chroma, mode="area")[0, 0] * 0.5 + 0.25
        frames.append(Frame(y, u, 1 - u, 40 * number, 40))
    return frames
