"""A file of Gaussians opened for drawing, once and at any size."""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image

from nicodec import container
from nicodec.codecs.splat import Splat
from nicodec.entropy.coder import Stream
from nicodec.errors import InputError, UnknownModelError
from nicodec.reading import read_bytes
from nicodec.splat.gaussians import Gaussians
from nicodec.zoo import find_model, load_codec


class Drawing:
    """A splat file, decoded once and drawn as often as wanted.

        picture = nicodec.drawing.Drawing.open("x.nic")
        picture.render((1920, 1280)).save("large.png")

    Attributes:
        gaussians: the Gaussians, their colours and positions as numbers.
        width, height: pixels of the picture that was encoded.

    """

    def __init__(self, gaussians: Gaussians) -> None:
        self.gaussians = gaussians
        self.height, self.width = gaussians.size

    @classmethod
    def open(cls, data: str | os.PathLike[str] | bytes | BinaryIO, device: str | torch.device = "cpu") -> Drawing:
        """Read a file.

        Args:
            data: a path, the bytes of a file, or a binary file.
            device: torch device that draws.

        Raises:
            StreamError: not a .nic file, truncated, altered, of a later version, or its symbols disagree.
            UnknownModelError: it was not written by the splat codec.

        """
        stored = container.read_picture(read_bytes(data))
        entry = find_model(stored.header.model)
        codec = load_codec(entry, torch.device(device))
        if not isinstance(codec, Splat):
            raise UnknownModelError(f"the file was written by {entry.name}, which has no Gaussians; decompress it")
        size = (stored.header.height, stored.header.width)
        with torch.inference_mode():
            return cls(codec.decode_gaussians(Stream(stored.payload, stored.symbol_checksum), size))

    def render(
        self, size: tuple[int, int] | None = None, crop: tuple[int, int, int, int] | None = None
    ) -> Image.Image:
        """Draw the picture as an RGB image.

        Args:
            size: width, height in pixels of the whole picture; its own unless given.
            crop: left, top, right, bottom in pixels of `size`, as Pillow's `crop` takes them.

        Raises:
            InputError: the size or the crop is empty, or the crop is not inside the size.

        """
        width, height = size or (self.width, self.height)
        left, top, right, bottom = crop or (0, 0, width, height)
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise InputError(f"crop {crop} of {width}x{height}: give left, top, right, bottom inside the picture")
        with torch.inference_mode():
            drawn = self.gaussians.draw((height, width), (left, top, right, bottom))
            levels = (drawn * 255).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(levels.cpu().numpy()))
