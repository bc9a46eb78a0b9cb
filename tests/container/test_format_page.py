"""FORMAT.md and the code say the same."""

import ast
import io
import re
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import pytest

import nicodec.container
from nicodec import errors
from nicodec.container import (
    ClipHeader,
    ClipReader,
    ClipWriter,
    Colour,
    FramePacket,
    FrameType,
    IndexEntry,
    Limits,
    Packet,
    PacketType,
    StoredPicture,
    Stream,
    StreamPacket,
    read_picture,
    write_picture,
)
from nicodec.container.clip import INDEX_ENTRIES_MAX, PARAMETERS_MAX, STREAMS_MAX
from nicodec.container.format import (
    CLIP_TAGS,
    PICTURE_PACKET_TAGS,
    PICTURE_PACKETS_MAX,
    PICTURE_TAGS,
    SECTIONS_MAX,
    SIGNATURE,
    PacketTag,
    Tag,
)
from nicodec.media import decode_alpha

from .build import HEADER

FOLDER = Path(nicodec.container.__file__).parent
PAGE = (FOLDER / "FORMAT.md").read_text(encoding="utf-8")


def read_examples() -> dict[str, bytes]:
    """The files of the page's hexadecimal blocks by their headings."""
    blocks = re.findall(r"^### ([^\n]*)\n(?:(?!###).)*?```hex\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    return {
        heading: b"".join(bytes.fromhex(re.split(r"\s{2,}", line)[0]) for line in block.splitlines())
        for heading, block in blocks
    }


EXAMPLES = read_examples()


def test_there_are_four_examples() -> None:
    assert list(EXAMPLES) == ["A picture", "A picture with alpha", "A picture in packets", "A clip"]
    assert PAGE.count("```hex") == 4


def test_picture() -> None:
    picture = StoredPicture(HEADER, b"\xc0\xff\xee", 0x1234, grey=True, xmp=b"<x/>")
    assert read_picture(EXAMPLES["A picture"]) == picture
    assert write_picture(picture) == EXAMPLES["A picture"]


def test_picture_with_alpha() -> None:
    picture = read_picture(EXAMPLES["A picture with alpha"])
    assert picture.header == replace(HEADER, width=3)
    assert decode_alpha(picture.alpha, 3, 2).tolist() == [[0, 255, 255], [255, 255, 0]]
    assert write_picture(picture) == EXAMPLES["A picture with alpha"]


def test_picture_in_packets() -> None:
    levels = (
        Packet(PacketType.LEVEL, 0, b"\xc0\xff\xee", 0x1234),
        Packet(PacketType.LEVEL, 1, b"\xfa\xde", 0x5678),
    )
    picture = StoredPicture(HEADER, packets=levels)
    assert read_picture(EXAMPLES["A picture in packets"]) == picture
    assert write_picture(picture) == EXAMPLES["A picture in packets"]


def test_clip() -> None:
    data = EXAMPLES["A clip"]
    header = ClipHeader(
        HEADER.model, 300, 2, 151, time_base=Fraction(1, 25), rate=Fraction(25), colour=Colour(1, 1, 1)
    )
    stream = Stream("audio", "opus", Fraction(1, 48000), b"\1\2", 48000, "stereo", "eng", 1, 960)
    packets = [
        FramePacket(0, b"\xc0\xff\xee", 0, 1, 0x1234, FrameType.I, True),
        StreamPacket(1, b"\xbe\xef", -312, None, 960),
        FramePacket(1, b"\xfa\xde", 2, 1, 0x5678, FrameType.P, False, (0,)),
        FramePacket(2, b"\xb0", 1, 1, 0x9ABC, FrameType.B, False, (0, 1)),
    ]
    reader = ClipReader(io.BytesIO(data))
    assert (reader.header, reader.streams) == (header, (stream,))
    assert list(reader) == packets
    assert reader.read_index().entries == (IndexEntry(0, 0, 66),)
    file = io.BytesIO()
    with ClipWriter(file, header, [stream]) as writer:
        for packet in packets:
            writer.write(packet)
    assert file.getvalue() == data


def test_packet_table() -> None:
    rows = re.findall(r"^\| (\d) \| (\w+) \| (picture|clip) \|", PAGE, re.MULTILINE)
    assert {int(number): name for number, name, _ in rows} == {tag: tag.name.lower() for tag in PacketTag}
    assert {int(number) for number, _, kind in rows if kind == "picture"} == PICTURE_PACKET_TAGS
    assert {tag.value for tag in PacketType} == PICTURE_PACKET_TAGS


def test_tag_table() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (yes|no) \| (.*) \|$", PAGE, re.MULTILINE)
    assert {int(number): name for number, name, _, _ in rows} == {tag: tag.name.lower() for tag in Tag}
    assert {int(number) for number, *_ in rows if int(number) % 2 == 0} == {
        int(number) for number, _, critical, _ in rows if critical == "yes"
    }
    assert {int(row[0]) for row in rows if not row[3].startswith("reserved")} == PICTURE_TAGS | CLIP_TAGS


def test_numbers() -> None:
    assert SIGNATURE.hex(" ").upper() in PAGE
    assert f"more than {SECTIONS_MAX} sections" in PAGE
    assert f"1 to {PICTURE_PACKETS_MAX} in a picture" in PAGE
    assert f"at most {STREAMS_MAX}." in PAGE
    assert f"at most {INDEX_ENTRIES_MAX};" in PAGE
    assert f"at most {PARAMETERS_MAX} pairs" in PAGE
    for limit in fields(Limits):
        assert re.search(rf"^\| {limit.name} \| {limit.default:,} \|", PAGE, re.MULTILINE)


def test_errors() -> None:
    named = re.findall(r"^\| (\w+Error) \|", PAGE, re.MULTILINE)
    raised = {error.__name__ for error in errors.StreamError.__subclasses__()}
    assert set(named) == raised | {"UnknownModelError", "LimitError"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_imports_nothing_heavy(path: Path) -> None:
    standard = {"binascii", "bisect", "collections", "dataclasses", "enum", "fractions", "functools", "io"}
    allowed = standard | {"itertools", "sys", "types", "typing", "zlib", "nicodec.errors"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "."]
        else:
            continue
        for name in names:
            assert name in allowed or name.split(".")[0] in allowed or name.startswith("nicodec.container.")
