"""x264, x265, SVT-AV1 and VP9 through PyAV: one intra frame a clip, tuned for PSNR, elementary streams.

What counts are the bytes of the encoder's packets, without a container and without the text in which x264 lists its
options.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kodak_eval.codecs.intra_video import _check, _own_priority
from nicodec.media.clip_planes import planar, video_frame
from nicodec.media.clips import FrameList, PlanarFrame

_PACKET = struct.Struct("<Iq")
_SEI = 6


@dataclass(frozen=True)
class Anchor:
    """An encoder at one preset.

    Attributes:
        name: id.
        label: legend.
        encoder, decoder: FFmpeg's names.
        options: of the encoder; ``{}`` in a value stands for the setting.
        settings: from the smallest file to the largest.
        threads: of encoder and decoder.

    """

    name: str
    label: str
    encoder: str
    decoder: str
    options: tuple[tuple[str, str], ...]
    settings: tuple[float, ...]
    threads: int = 1

    def version(self) -> str:
        """Return versions of PyAV and its libavcodec, which carries the encoders."""
        _check((self.encoder, "w"), (self.decoder, "r"))
        import av

        return f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"

    def _options(self, setting: float) -> dict[str, str]:
        return {name: value.replace("{}", f"{setting:g}") for name, value in self.options}

    def command(self, setting: float) -> str:
        """Return FFmpeg's command line."""
        options = " ".join(f"-{name} {value}" for name, value in self._options(setting).items())
        return f"ffmpeg -i CLIP -pix_fmt yuv420p -c:v {self.encoder} {options} -threads {self.threads}"

    def encode(self, clip: FrameList, setting: float) -> bytes:
        """Return the packets, each after its length and time stamp."""
        import av

        os.environ.setdefault("SVT_LOG", "1")  # errors only; read by the library at its first use
        form = clip.format
        context: Any = av.CodecContext.create(self.encoder, "w")
        context.width, context.height, context.pix_fmt = form.width, form.height, "yuv420p"
        context.time_base, context.framerate = form.time_base, form.rate
        context.thread_count, context.bit_rate = self.threads, 0
        context.options = self._options(setting)
        parts: list[bytes] = []

        def keep(packets: list[Any]) -> None:
            for packet in packets:
                data = bytes(packet)
                data = _without_sei(data) if self.decoder == "h264" else data
                parts.append(_PACKET.pack(len(data), packet.pts) + data)

        with _own_priority():
            for item in clip.frames:
                frame = video_frame(item)
                frame.pts, frame.time_base = item.pts, form.time_base
                keep(context.encode(frame))
            keep(context.encode(None))
        return b"".join(parts)

    def sizes(self, data: bytes) -> tuple[int, list[int]]:
        """Return the bytes of all packets, and of each frame's."""
        packets = sorted(_packets(data))
        return sum(len(data) for _, data in packets), [len(data) for _, data in packets]

    def decode(self, data: bytes) -> Iterator[PlanarFrame]:
        """Give the frames."""
        import av

        context: Any = av.CodecContext.create(self.decoder, "r")
        context.thread_count = self.threads
        number = 0
        for packet in [*(av.Packet(part) for _, part in _packets(data)), None]:
            for frame in context.decode(packet):
                yield planar(frame, number, 1)
                number += 1


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        size, pts = _PACKET.unpack_from(data, place)
        place += _PACKET.size
        yield pts, data[place : place + size]
        place += size


def _without_sei(data: bytes) -> bytes:
    """H.264 in Annex B without its supplemental information, in which x264 lists its options."""
    parts = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
    return b"".join(b"\0\0\1" + part for part in parts if part and part[0] & 31 != _SEI)


_CRF = (40.0, 36.0, 32.0, 28.0, 24.0, 20.0)
_AV1 = (60.0, 52.0, 44.0, 36.0, 28.0, 20.0)
_X264 = "keyint=infinite:scenecut=0"
_X265 = "keyint=-1:scenecut=0:open-gop=0:info=0:pools=none:frame-threads=1:log-level=none"
_X265_LOW = f"{_X265}:bframes=0:b-adapt=0:rc-lookahead=0:cutree=0"
_VP9 = (("deadline", "good"), ("cpu-used", "2"), ("crf", "{}"), ("g", "9999"))
_SVT = "keyint=-1:scd=0:tune=1:lp=1"

ANCHORS: dict[str, Anchor] = {
    anchor.name: anchor
    for anchor in (
        Anchor(
            "x264-medium",
            "x264 medium",
            "libx264",
            "h264",
            (("preset", "medium"), ("tune", "psnr"), ("crf", "{}"), ("x264-params", _X264)),
            _CRF,
        ),
        Anchor(
            "x264-zerolatency",
            "x264 veryfast zerolatency",
            "libx264",
            "h264",
            (("preset", "veryfast"), ("tune", "psnr,zerolatency"), ("crf", "{}"), ("x264-params", _X264)),
            _CRF,
        ),
        Anchor(
            "x265-medium",
            "x265 medium",
            "libx265",
            "hevc",
            (("preset", "medium"), ("tune", "psnr"), ("crf", "{}"), ("x265-params", _X265)),
            _CRF,
        ),
        Anchor(
            "x265-zerolatency",
            "x265 medium zerolatency",
            "libx265",
            "hevc",
            (("preset", "medium"), ("tune", "psnr"), ("crf", "{}"), ("x265-params", _X265_LOW)),
            _CRF,
        ),
        Anchor(
            "svtav1",
            "SVT-AV1 preset 6",
            "libsvtav1",
            "libdav1d",
            (("preset", "6"), ("crf", "{}"), ("svtav1-params", _SVT)),
            _AV1,
        ),
        Anchor(
            "svtav1-lowdelay",
            "SVT-AV1 preset 6, low delay",
            "libsvtav1",
            "libdav1d",
            (("preset", "6"), ("crf", "{}"), ("svtav1-params", f"{_SVT}:pred-struct=1")),
            _AV1,
        ),
        Anchor(
            "vp9",
            "VP9 good, cpu-used 2",
            "libvpx-vp9",
            "vp9",
            (
                ("deadline", "good"),
                ("cpu-used", "2"),
                ("crf", "{}"),
                ("g", "9999"),
                ("lag-in-frames", "25"),
                ("auto-alt-ref", "1"),
            ),
            _AV1,
        ),
        Anchor(
            "vp9-lowdelay",
            "VP9 good, cpu-used 2, low delay",
            "libvpx-vp9",
            "vp9",
            (*_VP9, ("lag-in-frames", "0")),
            _AV1,
        ),
    )
}
"""By name: each encoder in random access, then in low delay."""
