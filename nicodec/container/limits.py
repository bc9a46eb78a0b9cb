"""What a reader is willing to spend on a file, checked before anything is allocated."""

from dataclasses import dataclass

from nicodec.errors import LimitError


@dataclass(frozen=True)
class Limits:
    """The largest picture and the most metadata that a reader accepts; 0 means no limit.

    `pixels` bounds width times height (the default is the number at which Pillow refuses a picture as a
    decompression bomb); `metadata_bytes` bounds ICC, EXIF and XMP together, inflated (64 MiB by default).
    """

    pixels: int = 178_956_970
    metadata_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        for name in ("pixels", "metadata_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"limit {name} is {getattr(self, name)}; give 0 (no limit) or more")

    def check_pixels(self, width: int, height: int) -> None:
        """Raise LimitError where `width` x `height` pixels are more than `pixels` allows."""
        if self.pixels and width * height > self.pixels:
            raise LimitError(
                f"the picture is {width} x {height} = {width * height} pixels, the limit is {self.pixels};"
                " raise the pixel limit (0 for none) if you trust the file"
            )

    def check_metadata(self, count: int) -> None:
        """Raise LimitError where `count` bytes of metadata are more than `metadata_bytes` allows."""
        if self.metadata_bytes and count > self.metadata_bytes:
            raise LimitError(
                f"the metadata takes {count} bytes or more, the limit is {self.metadata_bytes};"
                " raise the metadata limit (0 for none) if you trust the file"
            )


DEFAULT_LIMITS = Limits()
