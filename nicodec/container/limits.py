"""What a reader is willing to spend on a file, checked before anything is allocated."""

from dataclasses import dataclass, fields

from nicodec.errors import LimitError


@dataclass(frozen=True)
class Limits:
    """The largest picture, metadata and packet that a reader accepts; 0 means no limit.

    `pixels` bounds width times height, of a picture or of one frame of a clip (the default is the number at
    which Pillow refuses a picture as a decompression bomb); `metadata_bytes` bounds ICC, EXIF, XMP and the
    descriptions of a clip's streams together, inflated (64 MiB by default); `packet_bytes` bounds the body of
    one packet of a clip (64 MiB by default). `pixels_per_payload_byte` bounds what a short payload may make a
    decoder draw, see `check_work` (no limit by default: what a payload can hold depends on the model).
    """

    pixels: int = 178_956_970
    metadata_bytes: int = 64 << 20
    packet_bytes: int = 64 << 20
    pixels_per_payload_byte: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value: int = getattr(self, field.name)
            if value < 0:
                raise ValueError(f"limit {field.name} is {value}; give 0 (no limit) or more")

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

    def check_packet(self, count: int) -> None:
        """Raise LimitError where the `count` bytes of a packet's body are more than `packet_bytes` allows."""
        if self.packet_bytes and count > self.packet_bytes:
            raise LimitError(
                f"a packet takes {count} bytes, the limit is {self.packet_bytes};"
                " raise the packet limit (0 for none) if you trust the file"
            )

    def check_work(self, width: int, height: int, payload_bytes: int) -> None:
        """Raise LimitError where `payload_bytes` bytes are too few to hold a picture of that size.

        Such a file costs its maker nothing and its reader a whole picture's time and memory. A payload of 0
        bytes counts as one of 1. Nothing is checked where `pixels_per_payload_byte` is 0.
        """
        most = self.pixels_per_payload_byte * max(1, payload_bytes)
        if most and width * height > most:
            raise LimitError(
                f"the picture is {width} x {height} = {width * height} pixels in {payload_bytes} bytes, the limit"
                f" is {self.pixels_per_payload_byte} pixels a byte; raise it (0 for none) if you trust the file"
            )


DEFAULT_LIMITS = Limits()
