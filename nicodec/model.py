"""A model in memory: pictures to .nic bytes and back."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nicodec import container, media
from nicodec.errors import QualityError
from nicodec.memory import keep_freed_memory
from nicodec.processor import prefers_bfloat16
from nicodec.search import QUALITY_STEPS, search_all, search_few
from nicodec.threads import guard_forks
from nicodec.zoo import ModelEntry, find_model, load_codec

if TYPE_CHECKING:
    from nicodec.codecs.base import Codec

QUALITY_DEFAULT = 50
SIZE_MARGIN, SIZE_SLOPE = math.log(1 / 0.96), 0.021
"""A slow encoder is content with a file of 96 % of the size allowed; what a half step adds, as a logarithm."""

PSNR_MARGIN, PSNR_SLOPE = 0.25, 0.08
"""It is content with so many dB more than asked for; what a half step adds."""

LUMA = (0.299, 0.587, 0.114)


def half_steps(quality: float) -> int:
    """Quality 0..100 in half steps, 0..200.

    Raises:
        QualityError: it is no number from 0 to 100.

    """
    if not isinstance(quality, (int, float)) or not 0 <= quality <= 100:
        raise QualityError(f"quality {quality!r} is out of range: give a number from 0 (small) to 100 (best)")
    return round(2 * quality)


@contextlib.contextmanager
def _fast_float(device: torch.device) -> Any:
    """Run float layers in bfloat16 where that is faster; symbols do not depend on it."""
    fast = prefers_bfloat16(device.type)
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast):
        yield


class Model:
    """A trained codec, loaded once for many pictures.

    Get one from `nicodec.load`. Not for use by several threads at once.
    """

    def __init__(self, entry: ModelEntry, device: str | torch.device = "cpu") -> None:
        keep_freed_memory()
        guard_forks()
        self.entry = entry
        self.device = torch.device(device)
        self.codec: Codec = load_codec(entry, str(device))

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.entry.name

    def compress(
        self,
        image: Any,
        quality: float | None = None,
        *,
        bpp: float | None = None,
        size: int | None = None,
        psnr: float | None = None,
        **encoder: Any,
    ) -> bytes:
        """Compress a picture.

        Args:
            image: a path, binary file, bytes, PIL image, uint8 array (H, W[, C]), or float tensor (3, H, W) in
                [0, 1].
            quality: 0 (smallest) to 100 (best), in half steps; 50 unless given. At most one of the four:
            bpp: most bits a pixel, whole file.
            size: most bytes, whole file.
            psnr: least PSNR in dB (RGB, 8 bits).
            encoder: further arguments of the codec's `encode`, see `nicodec.compress`.

        Returns:
            The bytes of a .nic file.

        Raises:
            QualityError: a number is out of range, or cannot be reached.
            InputError: not a picture.
            LimitError: too many pixels.

        """
        given = [
            name for name, v in (("quality", quality), ("bpp", bpp), ("size", size), ("psnr", psnr)) if v is not None
        ]
        if len(given) > 1:
            raise QualityError(f"{' and '.join(given)} given: choose one")
        picture = image if isinstance(image, media.Picture) else media.read_picture(image)
        if bpp is not None:
            size = math.floor(bpp * picture.width * picture.height / 8)
        if size is not None:
            return self._search_size(picture, size, encoder)
        if psnr is not None:
            return self._search_psnr(picture, psnr, encoder)
        return self._compress(picture, half_steps(QUALITY_DEFAULT if quality is None else quality), encoder)

    def _compress(self, picture: media.Picture, quality: int, encoder: dict[str, Any]) -> bytes:
        x = self._pad(_to_tensor(picture).to(self.device))
        with _fast_float(self.device):
            payload, checksum = self.codec.encode(x, torch.tensor([quality], device=self.device), **encoder)
        return container.write_picture(
            container.Picture(
                header=container.Header(self.entry.fingerprint, picture.width, picture.height, quality),
                payload=payload,
                symbol_checksum=checksum,
                grey=picture.is_grey,
                alpha=None if picture.alpha is None else media.encode_alpha(picture.alpha),
                icc=picture.icc,
                exif=picture.exif,
                xmp=picture.xmp,
            )
        )

    def _pad(self, x: Tensor) -> Tensor:
        right, bottom = -x.shape[3] % self.codec.alignment, -x.shape[2] % self.codec.alignment
        return F.pad(x, (0, right, 0, bottom), mode="replicate")

    def _search_size(self, picture: media.Picture, size: int, encoder: dict[str, Any]) -> bytes:
        """The best quality whose file has at most `size` bytes."""

        def attempt(q: int) -> tuple[bytes, float]:
            data = self._compress(picture, q, encoder)
            return data, math.log(size / len(data))

        few = self.codec.is_slow(**encoder)
        data = search_few(attempt, SIZE_MARGIN, SIZE_SLOPE) if few else search_all(attempt)
        if data is None:
            smallest = len(self._compress(picture, 0, encoder))
            raise QualityError(
                f"{size} bytes cannot be reached: the smallest file of this picture has {smallest}; scale the "
                "picture down, or drop its metadata"
            )
        return data

    def _search_psnr(self, picture: media.Picture, psnr: float, encoder: dict[str, Any]) -> bytes:
        """The smallest file whose PSNR is at least `psnr` dB."""

        def attempt(q: int) -> tuple[bytes, float]:
            data = self._compress(picture, QUALITY_STEPS - q, encoder)
            decoded = self._decode(container.read_picture(data, container.Limits(0, 0)))
            error = np.mean((decoded.astype(np.float64) - picture.pixels) ** 2)
            return data, math.inf if error == 0 else 10 * math.log10(255**2 / error) - psnr

        few = self.codec.is_slow(**encoder)
        data = search_few(attempt, PSNR_MARGIN, PSNR_SLOPE) if few else search_all(attempt)
        if data is None:
            raise QualityError(f"{psnr} dB cannot be reached on this picture, not even at quality 100")
        return data

    def decompress(
        self,
        data: bytes,
        *,
        limits: container.Limits = container.DEFAULT_LIMITS,
        size: tuple[int, int] | None = None,
    ) -> Image.Image:
        """Give the picture of a .nic file that this model wrote; see `nicodec.decompress`."""
        return media.to_pil(self.decompress_picture(data, limits=limits, size=size))

    def decompress_picture(
        self,
        data: bytes,
        *,
        limits: container.Limits = container.DEFAULT_LIMITS,
        size: tuple[int, int] | None = None,
    ) -> media.Picture:
        """Like `decompress`, with pixels, alpha and metadata apart."""
        stored = container.read_picture(data, limits)
        header = stored.header
        if header.model != self.entry.fingerprint:
            find_model(header.model)
            raise QualityError(f"the file was written by model {header.model.hex()}, not by {self.name}")
        if size is not None:
            if not self.codec.resizable:
                raise QualityError(
                    f"{self.name} pictures have one size; decompress it, then scale it with another tool"
                )
            limits.check_pixels(*size)
        pixels = self._decode(stored, size)
        alpha = None
        if stored.alpha is not None:
            alpha = media.decode_alpha(stored.alpha, header.width, header.height)
            if size is not None:
                alpha = np.asarray(Image.fromarray(alpha).resize(size))
        return media.Picture(pixels, alpha, stored.icc, stored.exif, stored.xmp)

    def _decode(self, stored: container.Picture, drawn: tuple[int, int] | None = None) -> np.ndarray:
        """uint8 (H, W, 3 or 1); `drawn` is the width and height to draw at, unless they are the picture's own."""
        header = stored.header
        width, height = drawn or (header.width, header.height)
        options = {"drawn": (height, width)} if drawn else {}
        align = self.codec.alignment
        size = (-(-header.height // align) * align, -(-header.width // align) * align)
        with _fast_float(self.device):
            quality = torch.tensor([header.quality], device=self.device)
            x = self.codec.decode(stored.payload, stored.symbol_checksum, size, quality, **options)
            x = x[0, :, :height, :width].float()
            if stored.grey:
                x = (x * torch.tensor(LUMA, device=x.device)[:, None, None]).sum(0, keepdim=True)
            x = (x * 255).round_().clamp_(0, 255).to(torch.uint8)
        return np.ascontiguousarray(x.permute(1, 2, 0).cpu().numpy())

    def compress_batch(self, x: Tensor, quality: float = QUALITY_DEFAULT) -> list[bytes]:
        """One file for each picture of a float tensor (B, 3, H, W) in [0, 1]."""
        return [self.compress(picture, quality) for picture in x]

    def decompress_batch(self, files: Sequence[bytes]) -> list[Tensor]:
        """Float tensors (3, H, W) in [0, 1], on the model's device, one for each file."""
        pictures = [self.decompress_picture(data).pixels for data in files]
        return [torch.from_numpy(p).to(self.device).permute(2, 0, 1).float() / 255 for p in pictures]


def _to_tensor(picture: media.Picture) -> Tensor:
    """(1, 3, H, W) float32 in [0, 1]; grey is repeated."""
    x = torch.from_numpy(picture.pixels).permute(2, 0, 1)[None].float() / 255
    return x.expand(1, 3, -1, -1)
