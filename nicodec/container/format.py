"""The constants of the .nic format and what a file holds; FORMAT.md beside this module is normative."""

from dataclasses import dataclass
from enum import IntEnum

from nicodec.container.varint import varint_size
from nicodec.errors import InputError, QualityError

SIGNATURE = b"\x8fnic"
VERSION = 1
KIND_PICTURE = 0
KIND_CLIP = 1

MODEL_BYTES = 4
DIMENSION_MAX = (1 << 31) - 1
QUALITY_MAX = 200
HEADER_MAX_BYTES = 20

TAG_BITS = 4
SECTION_MAX_BYTES = (1 << 31) - 1
SECTIONS_MAX = 256
SYMBOL_CHECKSUM_BYTES = 2
TRAILER_BYTES = 4

# The last part of an error's message: what to do next.
ALTERED = "the file was altered or its writer is at fault: fetch or copy it again"
CUT_SHORT = "the file was cut short: fetch or copy it again"
TOO_NEW = "install a newer nicodec"


class Tag(IntEnum):
    """The section tags that version 1 names; an odd tag may be skipped, an even one is critical."""

    ICC = 1
    PAYLOAD = 2
    EXIF = 3
    ALPHA = 4
    XMP = 5
    GREY = 6
    THUMBNAIL = 7
    TILING = 8
    EXTENDED_CRITICAL = 14
    EXTENDED_SKIPPABLE = 15


METADATA_TAGS = (Tag.ICC, Tag.EXIF, Tag.XMP)
KNOWN_TAGS = frozenset({Tag.PAYLOAD, Tag.ALPHA, Tag.GREY, *METADATA_TAGS})
"""The tags that this version reads; the others that `Tag` names are reserved."""


class MetadataCoding(IntEnum):
    """The first byte of an ICC, EXIF or XMP section."""

    RAW = 0
    DEFLATE = 1


class AlphaCoding(IntEnum):
    """The first byte of an alpha section."""

    PNG = 0


def tag_name(tag: int) -> str:
    """Return a name for the section tag `tag` (0 to 15), such as "exif" or, where it has none, "tag 9"."""
    try:
        return Tag(tag).name.lower()
    except ValueError:
        return f"tag {tag}"


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before any section.

    `model`: the first 4 bytes of the SHA-256 of the model's weights; `width` and `height`: pixels, 1 to
    2^31 - 1; `quality`: half steps, 0 to 200 for a quality of 0 to 100. ValueError for a fingerprint of
    another length, InputError for a size, QualityError for a quality outside its range.
    """

    model: bytes
    width: int
    height: int
    quality: int

    def __post_init__(self) -> None:
        if len(self.model) != MODEL_BYTES:
            raise ValueError(f"the model fingerprint has {len(self.model)} bytes; give {MODEL_BYTES}")
        for name in ("width", "height"):
            if not 1 <= getattr(self, name) <= DIMENSION_MAX:
                raise InputError(
                    f"the {name} is {getattr(self, name)} pixels, a picture has 1 to {DIMENSION_MAX};"
                    " give another picture"
                )
        if not 0 <= self.quality <= QUALITY_MAX:
            raise QualityError(
                f"the quality is {self.quality} half steps, the range is 0 to {QUALITY_MAX};"
                " give a quality of 0 to 100"
            )

    @property
    def size(self) -> int:
        """Bytes of the file before the first section: 12 to 20."""
        prelude = len(SIGNATURE) + 1 + MODEL_BYTES
        return prelude + varint_size(self.width) + varint_size(self.height) + 1


@dataclass(frozen=True)
class Picture:
    """The content of a picture file.

    `payload`: the range-coded bytes; `symbol_checksum`: 0 to 65535, computed by the codec over its symbols;
    `grey`: the picture is to be shown as one channel; `alpha`: a PNG file of the alpha channel; `icc`,
    `exif` (from its TIFF header on), `xmp`: inflated metadata. None where the file has no such section.
    ValueError for a symbol checksum outside its range.
    """

    header: Header
    payload: bytes
    symbol_checksum: int
    grey: bool = False
    alpha: bytes | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.symbol_checksum <= 0xFFFF:
            raise ValueError(f"the symbol checksum is {self.symbol_checksum}; give 0 to 65535")

    @property
    def overhead(self) -> int:
        """Bytes that the file takes beside the payload, if it has no other section: 19 to 31."""
        coded = len(self.payload) + SYMBOL_CHECKSUM_BYTES
        key = varint_size(coded << TAG_BITS | Tag.PAYLOAD)
        return self.header.size + key + SYMBOL_CHECKSUM_BYTES + TRAILER_BYTES
