"""Spend bits on a rectangle: python region_of_interest.py IN OUT.nic [--box X Y W H] [--codec NAME]."""

from __future__ import annotations

import argparse

import torch

import nicodec


class RegionOfInterest(nicodec.EncoderControl):
    """Errors inside a rectangle count more than those outside.

    Args:
        box: left, top, width, height, as parts of the frame's, 0..1.
        weight: how many times as much an error inside counts.

    """

    def __init__(self, box: tuple[float, float, float, float], weight: float = 8.0) -> None:
        self.box, self.weight = box, weight

    def start(self, form, quality) -> None:
        """Draw the map once: a number for each square of 16 pixels, about 1 on average."""
        rows, columns = -(-form.height // 16), -(-form.width // 16)
        left, top, width, height = self.box
        y = (torch.arange(rows) + 0.5) / rows
        x = (torch.arange(columns) + 0.5) / columns
        inside = ((y >= top) & (y < top + height))[:, None] & ((x >= left) & (x < left + width))[None]
        importance = 1 + (self.weight - 1) * inside
        self.importance = importance / importance.mean()

    def wish(self, frame, spent) -> nicodec.Wish:
        """Ask for the map in every frame."""
        return nicodec.Wish(importance=self.importance)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--box", type=float, nargs=4, default=(0.25, 0.25, 0.5, 0.5))
    parser.add_argument("--quality", type=float, default=40)
    parser.add_argument("--codec", default=nicodec.DEFAULT_CLIP_CODEC)
    given = parser.parse_args()
    control = RegionOfInterest(tuple(given.box))
    nicodec.compress_video(given.source, given.target, given.quality, codec=given.codec, control=control)
