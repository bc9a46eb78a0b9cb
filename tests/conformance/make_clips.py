"""Write the conformance files of the packaged model of clips: python -m tests.conformance.make_clips

Run it only when a model is released; files of released models stay as they are, and decode for ever.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nicodec
from nicodec.media.clips import FrameList, from_rgb

from ..clip_contract import decoded
from ..conftest import smooth_picture

FOLDER = Path(__file__).parent
CASES: dict[str, dict[str, Any]] = {
    "clip-pyramid": {"quality": 40},
    "clip-low-delay": {"quality": 60, "low_delay": True},
}


def clip() -> FrameList:
    """Eleven frames of a picture that moves on by 2 and 3 pixels a frame."""
    picture = smooth_picture(120, 140, 7)
    return from_rgb([picture[2 * n : 2 * n + 70, 3 * n : 3 * n + 90] for n in range(11)])


def main() -> None:
    """Write the files and clips.json."""
    known = {}
    for name, options in CASES.items():
        data = nicodec.compress_video(clip(), **options)
        assert data is not None
        (FOLDER / f"{name}.nic").write_bytes(data)
        symbols, frames = decoded(data)
        rows = [frame.y[frame.y.shape[0] // 2].tolist() for frame in (frames[0], frames[-1])]
        known[name] = {"symbols": symbols, "frames": len(frames), "rows": rows}
    (FOLDER / "clips.json").write_text(json.dumps(known, separators=(",", ":")).replace("},", "},\n") + "\n")


if __name__ == "__main__":
    main()
