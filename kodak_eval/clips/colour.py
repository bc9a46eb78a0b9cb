"""From RGB to a clip's own planes."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame

from nicodec.media.clip_planes import THREADS, planar
from nicodec.media.clips import PlanarFrame


def rgb_to_planar(rgb: np.ndarray, pts: int, *, full_range: bool, matrix: int) -> PlanarFrame:
    """Return (H, W, 3) uint8 as 4:2:0 planes of this matrix (2, not known: BT.601) and range."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    wide = frame.reformat(
        format="yuv444p16le",
        dst_colorspace=5 if matrix == 2 else matrix,
        dst_color_range=2 if full_range else 1,
        threads=THREADS,
    )
    return planar(wide, pts, 1)
