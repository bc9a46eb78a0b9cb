"""HEVC (x265) and AV1 (SVT-AV1) as picture codecs through PyAV: one intra frame, its bare elementary stream.

The file is what the encoder emits and nothing else: parameter sets and one frame, without a container
and without x265's SEI that lists its options. The reader knows the colour format (BT.601 full range),
as a reader of BPG does from its header; bare streams save that header's dozen bytes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kodak_eval.colour import planes_to_rgb, rgb_to_planes
from kodak_eval.errors import CodecUnavailableError

MATRIX = "bt601"
"""The matrix of JPEG, WebP's kin and BPG's default; on RGB PSNR it serves as well as BT.709."""


def _av():
    import av

    return av


def _check(*codecs: tuple[str, str]) -> None:
    """Raise CodecUnavailableError unless PyAV has all (name, mode) codecs."""
    av = _av()
    for name, mode in codecs:
        try:
            av.Codec(name, mode)
        except ValueError as error:
            raise CodecUnavailableError(
                f"PyAV {av.__version__} was built without {name}: install its wheel (pip install av)"
            ) from error


def _planes_to_frame(planes: tuple[np.ndarray, ...], pixel_format: str):
    height, width = planes[0].shape
    frame = _av().VideoFrame(width, height, pixel_format)
    for plane, values in zip(frame.planes, planes, strict=True):
        padded = np.zeros((values.shape[0], plane.line_size // values.itemsize), values.dtype)
        padded[:, : values.shape[1]] = values
        plane.update(padded.tobytes())
    frame.pts = 0
    return frame


def _frame_to_planes(frame, bits: int) -> tuple[np.ndarray, ...]:
    kind = np.uint8 if bits == 8 else np.uint16
    return tuple(np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes)


def encode_intra(
    planes: tuple[np.ndarray, ...], encoder: str, pixel_format: str, options: dict[str, str], threads: int = 1
) -> bytes:
    """Return the elementary stream of one frame of Y, Cb, Cr planes."""
    height, width = planes[0].shape
    context = _av().CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = width, height, pixel_format
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25, 1)
    context.thread_count = threads
    context.options = options
    packets = [*context.encode(_planes_to_frame(planes, pixel_format)), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def decode_intra(data: bytes, decoder: str, bits: int, threads: int = 1) -> tuple[np.ndarray, ...]:
    """Return the Y, Cb, Cr planes of the one frame in an elementary stream."""
    av = _av()
    context = av.CodecContext.create(decoder, "r")
    context.thread_count = threads
    frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    return _frame_to_planes(frames[0], bits)


@dataclass(frozen=True)
class X265:
    """HEVC intra 4:4:4 by x265, tuned for PSNR: the practical BPG. The setting is the constant QP.

    A constant QP, not CRF: at one setting every picture then sits at the same slope, as with BPG's
    ``-q``. Wavefront rows (which cost about 1 % of the bits) are off.

    Attributes:
        preset: x265's; ``veryslow`` takes 0.5 s a Kodak picture on one core, ``placebo`` gains nothing.
        bits: 8, as BPG's default, or 10.
        threads: decoder threads; the encoder runs on one.

    """

    preset: str = "veryslow"
    bits: int = 8
    threads: int = 1
    settings: tuple[float, ...] = (46, 41, 36, 31, 26, 21)
    parameter: str = "qp"
    step = 1
    limits = (51, 0)

    @property
    def name(self) -> str:
        """``x265-444``, with ``-PRESET`` and ``-10bit`` where they are not the defaults."""
        preset = "" if self.preset == "veryslow" else f"-{self.preset}"
        return f"x265-444{preset}" + ("" if self.bits == 8 else f"-{self.bits}bit")

    @property
    def label(self) -> str:
        """Legend."""
        return f"HEVC intra 4:4:4 (x265 {self.preset}" + (")" if self.bits == 8 else f", {self.bits} bits)")

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name."""
        return "yuv444p" if self.bits == 8 else f"yuv444p{self.bits}le"

    def version(self) -> str:
        """Return versions of PyAV and its libavcodec, which carries x265."""
        _check(("libx265", "w"), ("hevc", "r"))
        av = _av()
        return f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"

    def options(self, setting: float) -> dict[str, str]:
        """Return FFmpeg's options of libx265 at a QP of 0 to 51."""
        params = (
            f"qp={int(setting)}:ipratio=1:keyint=1:info=0:wpp=0:pools=none:frame-threads=1:"
            "colormatrix=undef:log-level=none"
        )
        return {"preset": self.preset, "tune": "psnr", "x265-params": params}

    def command(self, setting: float) -> str:
        """Return FFmpeg's command line on planes converted by kodak_eval.colour."""
        options = self.options(setting)
        return (
            f"ffmpeg -f rawvideo -pix_fmt {self.pixel_format} ({MATRIX}, full range) -c:v libx265 "
            f"-preset {options['preset']} -tune psnr -x265-params {options['x265-params']} -f hevc"
        )

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return the HEVC elementary stream of (H, W, 3) uint8 pixels."""
        planes = rgb_to_planes(pixels, matrix=MATRIX, full_range=True, bits=self.bits)
        return encode_intra(planes, "libx265", self.pixel_format, self.options(setting))

    def decode(self, data: bytes) -> np.ndarray:
        """Return (H, W, 3) uint8 pixels."""
        planes = decode_intra(data, "hevc", self.bits, self.threads)
        return planes_to_rgb(*planes, matrix=MATRIX, full_range=True, bits=self.bits)


@contextlib.contextmanager
def _own_priority() -> Iterator[None]:
    """Undo what SVT-AV1 does where it may (as root): it gives its caller real-time priority, for good."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


@dataclass(frozen=True)
class SvtAv1:
    """AV1 intra 4:2:0 by SVT-AV1, tuned for PSNR; the setting is the constant QP, 1 to 63.

    Odd sides are refused by the encoder and fail by name.

    Attributes:
        preset: -1 to 13; 2 takes 1.1 s a Kodak picture on one core, 0 takes 4.5 s for 2 % fewer bits.
        threads: of encoder and decoder; bytes do not depend on them.

    """

    preset: int = 2
    threads: int = 1
    settings: tuple[float, ...] = (60, 52, 44, 36, 27, 17)
    parameter: str = "qp"
    step = 1
    limits = (63, 1)

    @property
    def name(self) -> str:
        """``svtav1-420``, with ``-pN`` for another preset."""
        return "svtav1-420" + ("" if self.preset == 2 else f"-p{self.preset}")

    @property
    def label(self) -> str:
        """Legend."""
        return f"AV1 intra 4:2:0 (SVT-AV1, preset {self.preset})"

    def version(self) -> str:
        """Return versions of PyAV and its libavcodec, which carries SVT-AV1."""
        _check(("libsvtav1", "w"), ("libdav1d", "r"))
        av = _av()
        return f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"

    def options(self, setting: float) -> dict[str, str]:
        """Return FFmpeg's options of libsvtav1."""
        return {
            "preset": str(self.preset),
            "svtav1-params": f"avif=1:rc=0:qp={int(setting)}:aq-mode=0:tune=1:lp={self.threads}",
        }

    def command(self, setting: float) -> str:
        """Return FFmpeg's command line on planes converted by kodak_eval.colour."""
        params = self.options(setting)["svtav1-params"].rsplit(":", 1)[0]
        return (
            f"ffmpeg -f rawvideo -pix_fmt yuv420p ({MATRIX}, full range) -c:v libsvtav1 "
            f"-preset {self.preset} -svtav1-params {params} -f obu"
        )

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return the AV1 bitstream of (H, W, 3) uint8 pixels."""
        os.environ.setdefault("SVT_LOG", "1")  # errors only; read by the library at its first use
        planes = rgb_to_planes(pixels, matrix=MATRIX, full_range=True, chroma="420")
        with _own_priority():
            return encode_intra(planes, "libsvtav1", "yuv420p", self.options(setting))

    def decode(self, data: bytes) -> np.ndarray:
        """Return (H, W, 3) uint8 pixels."""
        planes = decode_intra(data, "libdav1d", 8, self.threads)
        return planes_to_rgb(*planes, matrix=MATRIX, full_range=True)
