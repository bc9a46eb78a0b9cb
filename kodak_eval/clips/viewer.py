"""Clips as a browser plays them, for the report: H.264 in MP4, every frame a key frame, so that any can be sought."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

from nicodec.media.clip_planes import PlanarFrame, video_frame
from nicodec.media.clips import ClipFormat

FRAMES_MAX = 60
"""Of a clip, in the viewer."""


def as_mp4(frames: list[PlanarFrame], form: ClipFormat) -> bytes:
    """Return the first frames as an MP4 that browsers play; odd sides lose a row or column."""
    import av

    held = io.BytesIO()
    container: Any = av.open(held, "w", format="mp4")
    stream = container.add_stream(
        "libx264", rate=form.rate or Fraction(25), options={"crf": "12", "preset": "veryfast", "g": "1"}
    )
    stream.width, stream.height, stream.pix_fmt = form.width // 2 * 2, form.height // 2 * 2, "yuv420p"
    context = stream.codec_context
    context.color_range = 2 if form.colour.full_range else 1
    context.colorspace = form.colour.matrix
    for number, frame in enumerate(frames[:FRAMES_MAX]):
        even = PlanarFrame(
            frame.y[: stream.height, : stream.width],
            frame.u[: stream.height // 2, : stream.width // 2],
            frame.v[: stream.height // 2, : stream.width // 2],
            number,
            1,
        )
        shown = video_frame(even)
        shown.pts, shown.time_base = number, 1 / (form.rate or Fraction(25))
        container.mux(stream.encode(shown))
    container.mux(stream.encode(None))
    container.close()
    return held.getvalue()
