"""Pictures of a file that is still arriving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from nicodec import container, media
from nicodec.shared import shared_model

if TYPE_CHECKING:
    import torch

    from nicodec.model import Model


class ProgressiveDecoder:
    """Shows a .nic file while its bytes come: `feed` them, and take a better picture whenever there is one.

        decoder = nicodec.ProgressiveDecoder()
        for chunk in response:
            image = decoder.feed(chunk)
            if image is not None:
                show(image)
        image = decoder.finish()

    A picture in levels is there after the first of them, better after each of the others. Of any other file, the
    picture is there when the file is. Each picture is decoded from the beginning, once for all levels that one `feed`
    completes.

    Attributes:
        image: the best picture so far; None before the first.

    """

    def __init__(
        self,
        *,
        limits: container.Limits | None = None,
        device: str | torch.device = "cpu",
        model: Model | None = None,
    ) -> None:
        """Begin a file.

        Args:
            limits: what it may ask for.
            device: torch device that the networks run on.
            model: that wrote it, if it is loaded already; else it is found by the file.

        """
        self.image: Image.Image | None = None
        self._limits = container.DEFAULT_LIMITS if limits is None else limits
        self._device = device
        self._model = model
        self._arrival = container.PictureArrival(self._limits)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height, known after a few bytes; None before."""
        header = self._arrival.header
        return None if header is None else (header.width, header.height)

    @property
    def levels(self) -> int:
        """Levels that have come."""
        picture = self._arrival.picture
        return 0 if picture is None else picture.levels

    @property
    def bytes_fed(self) -> int:
        """Bytes that have come."""
        return self._arrival.size

    @property
    def finished(self) -> bool:
        """Whether the whole file has come, unharmed."""
        return self._arrival.is_complete

    def feed(self, data: bytes) -> Image.Image | None:
        """Take the next bytes of the file, any number.

        Returns:
            The picture, as `nicodec.decompress` gives it, if these bytes make a better one; else None.

        Raises:
            StreamError, LimitError, UnknownModelError, InputError: as `nicodec.decompress`, as soon as it shows.
            What came before the damage stays in `image`.

        """
        if not self._arrival.feed(data):
            return None
        stored = self._arrival.picture
        if stored is None or (stored.lost and not stored.levels):
            return None  # packets of another kind are shown when all are there
        if stored.levels:
            stored = stored.first_levels(stored.levels)
        if self._model is None:
            self._model = shared_model(stored.header.model, self._device)
        self.image = media.to_pil(self._model.decode_file(stored, self._limits))
        return self.image

    def finish(self) -> Image.Image:
        """Give the picture of the whole file.

        Raises:
            TruncatedError: the file's end has not come; what has is in `image`.

        """
        self._arrival.finish()
        assert self.image is not None
        return self.image
