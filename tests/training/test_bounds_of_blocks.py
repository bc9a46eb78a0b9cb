"""Bounds of residual blocks are taken from training crops, and keep a checkerboard from blowing up."""

from __future__ import annotations

import torch

from nicodec.layers.blocks import ResidualBlock
from nicodec.training.bounds import are_bounded, set_bounds
from nicodec.training.budget import Budget

from ..conftest import smooth_picture, tiny_codec


class Crops:
    """Crops of one drawn picture."""

    def batch(self, count: int, crop: int) -> torch.Tensor:
        picture = torch.from_numpy(smooth_picture(crop, crop, 1)).permute(2, 0, 1)[None].float() / 255
        return picture.expand(count, -1, -1, -1)


def test_bounds_cover_what_was_seen() -> None:
    codec, crops = tiny_codec(), Crops()
    with torch.no_grad():
        for block in codec.modules():
            if isinstance(block, ResidualBlock):
                block.project.weight.add_(0.3 * torch.randn_like(block.project.weight))
    assert not are_bounded(codec)
    quality = torch.tensor([100])
    before = codec(crops.batch(1, 64), quality)[0]
    set_bounds(codec, codec, crops, Budget(steps=5), 64)
    assert are_bounded(codec)
    torch.testing.assert_close(codec(crops.batch(1, 64), quality)[0], before, atol=2e-2, rtol=0)
    rows, columns = torch.arange(64)[:, None], torch.arange(64)
    checkers = ((rows + columns) % 2).float().expand(1, 3, 64, 64)
    assert codec(checkers, quality)[0].abs().max() < 10
