"""The constants of the .nic format and what a file holds; FORMAT.md beside this module is normative."""

from dataclasses import dataclass
from enum import IntEnum

from nicodec.container.varint import varint_size
from nicodec.errors import InputError, QualityError

SIGNATURE = b"\x8fnic"
VERSION = 1

MODEL_BYTES = 4
DIMENSION_MAX = (1 << 31) - 1
QUALITY_MAX = 200
HEADER_MAX_BYTES = 20

TAG_BITS = 4
SECTION_MAX_BYTES = (1 << 31) - 1
SECTIONS_MAX = 256
SYMBOL_CHECKSUM_BYTES = 2
TRAILER_BYTES = 4
PICTURE_PACKETS_MAX = 0xFFFF

# The last part of an error's message: what to do next.
ALTERED = "the file was altered or its writer is at fault: fetch or copy it again"
CUT_SHORT = "the file was cut short: fetch or copy it again"
TOO_NEW = "install a newer nicodec"


class Kind(IntEnum):
    """What a file holds: the low nibble of its fifth byte."""

    PICTURE = 0
    CLIP = 1


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
    PACKETS = 10
    STREAM = 11
    CLIP = 12
    EXTENDED_CRITICAL = 14
    EXTENDED_SKIPPABLE = 15


METADATA_TAGS = (Tag.ICC, Tag.EXIF, Tag.XMP)
PICTURE_TAGS = frozenset({Tag.PAYLOAD, Tag.ALPHA, Tag.GREY, Tag.PACKETS, *METADATA_TAGS})
"""The tags that this version reads in a picture; the others that `Tag` names are reserved or a clip's."""

CLIP_TAGS = frozenset({Tag.GREY, Tag.PACKETS, Tag.STREAM, Tag.CLIP, *METADATA_TAGS})
"""The tags that this version reads in a clip."""

LAST_TAGS = frozenset({Tag.PAYLOAD, Tag.PACKETS})
"""The sections that end the sections; a file has one of them."""


class PacketTag(IntEnum):
    """The packet tags that version 1 names; an odd tag may be skipped, an even one is critical."""

    END = 0
    COPIED = 1
    LEVEL = 2
    PIECE = 4
    FRAME = 6
    PART = 8


PICTURE_PACKET_TAGS = frozenset({PacketTag.LEVEL, PacketTag.PIECE, PacketTag.PART})
CLIP_PACKET_TAGS = frozenset({PacketTag.END, PacketTag.COPIED, PacketTag.FRAME})


class MetadataCoding(IntEnum):
    """The first byte of an ICC, EXIF or XMP section."""

    RAW = 0
    DEFLATE = 1


class AlphaCoding(IntEnum):
    """The first byte of an alpha section."""

    PNG = 0


def packet_name(tag: int) -> str:
    """Return a name for the packet tag `tag` (0 to 15), such as "frame" or, where it has none, "tag 9"."""
    try:
        return PacketTag(tag).name.lower()
    except ValueError:
        return f"tag {tag}"


def tag_name(tag: int) -> str:
    """Return a name for the section tag `tag` (0 to 15), such as "exif" or, where it has none, "tag 9"."""
    try:
        return Tag(tag).name.lower()
    except ValueError:
        return f"tag {tag}"


@dataclass(frozen=True)
class Header:
    """What a file says of its picture or clip before any section.

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
