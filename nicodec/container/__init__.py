"""The .nic file: pictures and clips, read and written, within limits; FORMAT.md in this folder is normative."""

from nicodec.container.arrival import PictureArrival
from nicodec.container.clip import (
    ClipHeader,
    ClipIndex,
    Colour,
    FramePacket,
    FrameType,
    IndexEntry,
    Stream,
    StreamPacket,
)
from nicodec.container.clip_info import ClipInfo, clip_info
from nicodec.container.clip_reader import ClipItem, ClipReader
from nicodec.container.clip_writer import ClipWriter, Writable
from nicodec.container.format import Header, Kind
from nicodec.container.limits import DEFAULT_LIMITS, Limits
from nicodec.container.packets import Damaged
from nicodec.container.picture import Packet, PacketType, StoredPicture
from nicodec.container.picture_reader import PictureFile, parse_picture, read_picture, section_sizes
from nicodec.container.picture_writer import write_picture
from nicodec.container.sections import is_nicodec, read_header, read_kind
from nicodec.container.shortening import shorten_picture
from nicodec.container.source import Readable

__all__ = [
    "DEFAULT_LIMITS",
    "ClipHeader",
    "ClipIndex",
    "ClipInfo",
    "ClipItem",
    "ClipReader",
    "ClipWriter",
    "Colour",
    "Damaged",
    "FramePacket",
    "FrameType",
    "Header",
    "IndexEntry",
    "Kind",
    "Limits",
    "Packet",
    "PacketType",
    "PictureArrival",
    "PictureFile",
    "Readable",
    "StoredPicture",
    "Stream",
    "StreamPacket",
    "Writable",
    "clip_info",
    "is_nicodec",
    "parse_picture",
    "read_header",
    "read_kind",
    "read_picture",
    "section_sizes",
    "shorten_picture",
    "write_picture",
]
