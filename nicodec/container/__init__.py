"""The .nic file: reading, writing and its limits; FORMAT.md in this folder is normative."""

from nicodec.container.format import Header, Picture
from nicodec.container.limits import DEFAULT_LIMITS, Limits
from nicodec.container.reader import is_nicodec, read_header, read_picture, section_sizes
from nicodec.container.writer import write_picture

__all__ = [
    "DEFAULT_LIMITS",
    "Header",
    "Limits",
    "Picture",
    "is_nicodec",
    "read_header",
    "read_picture",
    "section_sizes",
    "write_picture",
]
