"""Audio and subtitles that are copied: from PyAV's streams and packets to those of a .nic file, and back."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any

import av

from nicodec.container import Stream, StreamPacket

COPIED = ("audio", "subtitle")
"""Types of streams that are copied."""

_FLAGS = ("is_keyframe", "is_corrupt", "is_discard", "is_trusted", "is_disposable")
_FLAG_BITS = (1, 2, 4, 8, 16)


def describe(stream: Any) -> Stream:
    """What a .nic file says of PyAV's stream."""
    context = stream.codec_context
    time_base = stream.time_base
    duration, rate, layout = 0, 0, ""
    if stream.type == "audio":
        rate, layout = context.sample_rate or 0, context.layout.name
        units = Fraction(context.frame_size or 0, rate or 1) / time_base
        duration = int(units) if units.denominator == 1 else 0
    title = stream.metadata.get("title", "")
    return Stream(
        type=stream.type,
        codec=stream.codec.canonical_name,
        time_base=time_base,
        extradata=context.extradata or b"",
        sample_rate=rate,
        layout=layout,
        language=stream.language or "",
        disposition=int(stream.disposition),
        packet_duration=duration,
        parameters=(("title", title),) if title else (),
    )


def copy_in(packet: Any, number: int) -> StreamPacket:
    """PyAV's packet as one of stream `number`."""
    flags = sum(bit for name, bit in zip(_FLAGS, _FLAG_BITS, strict=True) if getattr(packet, name))
    dts = None if packet.dts == packet.pts else packet.dts
    return StreamPacket(number, bytes(packet), packet.pts, dts, max(0, packet.duration or 0), flags)


def copy_out(packet: StreamPacket, described: Stream, stream: Any) -> Any:
    """A packet for PyAV's stream `stream`."""
    made: Any = av.Packet(packet.data)
    made.stream = stream
    made.time_base = described.time_base
    made.pts = packet.pts
    made.dts = packet.pts if packet.dts is None else packet.dts
    made.duration = packet.duration or described.packet_duration
    made.is_keyframe = bool(packet.flags & _FLAG_BITS[0])  # PyAV lets no other flag be set
    return made


def add_to(container: Any, described: Stream) -> Any:
    """A stream of `container` that takes packets as they are; raises ValueError where the format cannot hold it."""
    template = _template(described)
    if template is not None:
        stream = container.add_stream_from_template(template.streams[0])
    else:
        rate = described.sample_rate or None
        stream = container.add_mux_stream(described.codec, rate=rate if described.type == "audio" else None)
    stream.time_base = described.time_base
    stream.disposition = described.disposition
    if described.language:
        stream.metadata["language"] = described.language
    stream.metadata.update(described.parameters)
    return stream


# PyAV makes a stream for foreign packets only from a stream of an opened file. So a small file is made that has one
# of these parameters: the head of a Matroska file, whose codecs these are.
_MATROSKA = {
    "aac": "A_AAC",
    "ac3": "A_AC3",
    "alac": "A_ALAC",
    "dts": "A_DTS",
    "eac3": "A_EAC3",
    "mp2": "A_MPEG/L2",
    "mp3": "A_MPEG/L3",
    "opus": "A_OPUS",
    "pcm_f32le": "A_PCM/FLOAT/IEEE",
    "pcm_s16be": "A_PCM/INT/BIG",
    "pcm_s16le": "A_PCM/INT/LIT",
    "pcm_s24le": "A_PCM/INT/LIT",
    "pcm_s32le": "A_PCM/INT/LIT",
    "pcm_u8": "A_PCM/INT/LIT",
    "truehd": "A_TRUEHD",
    "tta": "A_TTA1",
    "vorbis": "A_VORBIS",
    "wavpack": "A_WAVPACK4",
    "ass": "S_TEXT/ASS",
    "dvb_subtitle": "S_DVBSUB",
    "dvd_subtitle": "S_VOBSUB",
    "hdmv_pgs_subtitle": "S_HDMV/PGS",
    "subrip": "S_TEXT/UTF8",
}


def _template(described: Stream) -> Any:
    """An opened file whose only stream has the parameters of `described`; None for a codec that Matroska lacks."""
    codec = _MATROSKA.get(described.codec)
    extradata = described.extradata
    if described.codec == "flac":  # Matroska keeps the head of a FLAC file before the parameters
        codec, extradata = "A_FLAC", b"fLaC\x80" + len(extradata).to_bytes(3, "big") + extradata
    if codec is None:
        return None
    track = _number("d7", 1) + _number("73c5", 1) + _number("83", 2 if described.type == "audio" else 17)
    track += _element("86", codec.encode())
    if extradata:
        track += _element("63a2", extradata)
    if described.type == "audio":
        channels = av.AudioLayout(described.layout).nb_channels if described.layout else 1
        audio = _element("b5", struct.pack(">d", described.sample_rate)) + _number("9f", channels)
        bits = "".join(c for c in described.codec.removeprefix("pcm_") if c.isdigit())
        track += _element("e1", audio + (_number("6264", int(bits)) if described.codec.startswith("pcm_") else b""))
    head = _element("1a45dfa3", _element("4282", b"matroska") + _number("4287", 4) + _number("4285", 2))
    info = _element("1549a966", _number("2ad7b1", 1_000_000))
    body = info + _element("1654ae6b", _element("ae", track)) + _element("1f43b675", _number("e7", 0))
    return av.open(io.BytesIO(head + _element("18538067", body)), format="matroska")


def _element(name: str, data: bytes) -> bytes:
    return bytes.fromhex(name) + (1 << 56 | len(data)).to_bytes(8, "big") + data


def _number(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(8, "big"))
