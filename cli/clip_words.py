"""What `nicodec info` says of a clip."""

from __future__ import annotations

from pathlib import Path

from nicodec import VideoInfo
from nicodec.errors import InputError

_MATRICES = {
    0: "RGB",
    1: "BT.709",
    5: "BT.601",
    6: "BT.601",
    7: "SMPTE 240M",
    8: "YCgCo",
    9: "BT.2020",
    10: "BT.2020",
}
_TRANSFERS = {1: "BT.709", 6: "BT.601", 13: "sRGB", 14: "BT.2020", 15: "BT.2020", 16: "PQ", 18: "HLG"}


def existing(path: Path) -> Path:
    """The path; InputError where there is no file."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    return path


def clip_lines(found: VideoInfo) -> list[str]:
    """Lines on a clip."""
    rate = "no time" if found.rate is None else f"{found.rate:.6g} frames a second"
    if found.is_variable:
        rate = f"variable rate, {rate} on average" if found.rate else "variable rate"
    total = f"{8 * found.file_bytes / found.seconds / 1000:.0f} kbit/s, " if found.seconds else ""
    lengths = sorted(set(found.gop_lengths))
    gops = " to ".join(str(n) for n in dict.fromkeys((lengths[0], lengths[-1]))) if lengths else "none"
    kinds = ", ".join(f"{n} {kind}" for n, kind in zip(found.types, ("I", "P", "B", "other"), strict=True) if n)
    lines = [
        f"  clip     {found.width}x{found.height}, {found.frames} frames, {found.seconds:.3f} s, {rate}",
        f"  quality  {found.quality:g}",
        f"  model    {found.model or 'not installed'} ({found.fingerprint})",
        f"  size     {found.file_bytes} bytes, {total}{found.bpp:.3f} bpp",
        f"  frames   {kinds}{_kbits(found.bit_rate)}",
        f"  keys     {len(found.gop_lengths)}, from each to the next {gops} frames; {found.pattern}",
        f"  colour   {_colour(found)}",
    ]
    for stream in found.streams:
        language = f", {stream.language}" if stream.language else ""
        lines.append(
            f"  {stream.type:8s} {stream.codec}{language}, {stream.packets} packets{_kbits(stream.bit_rate)}"
        )
    if found.sample_aspect != 1:
        lines.append(f"  pixels   {found.sample_aspect:.4g} times as wide as high")
    if found.rotation:
        lines.append(f"  turned   {found.rotation} degrees clockwise by a viewer")
    return lines


def _kbits(rate: float | None) -> str:
    return "" if rate is None else f", {rate / 1000:.1f} kbit/s"


def _colour(found: VideoInfo) -> str:
    matrix = "not said" if found.matrix == 2 else _MATRICES.get(found.matrix, f"matrix {found.matrix}")
    transfer = "" if found.transfer == 2 else _TRANSFERS.get(found.transfer, f"transfer {found.transfer}")
    parts = [matrix, *([f"{transfer} curve"] if transfer and transfer != matrix else [])]
    return ", ".join([*parts, "full range" if found.full_range else "limited range"])
