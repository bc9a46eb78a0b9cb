"""The seam for clips: ``nicodec eval --video`` comes with the video codec and is put here.

What clips share with pictures is ready: ``cache.Cache`` and ``runner.run`` take any task with
``perform`` and ``failed``, ``curves.Curve`` and ``bdrate`` know only rates and qualities (bits a pixel,
or kbit/s), ``codecs.intra_video`` feeds planes to PyAV's encoders, and ``report`` draws any curves.
A clip codec needs its own protocol (bytes from frames at a setting, frames from bytes), a task that
measures one clip, and published curves from ``video_bdrate_published.csv``.
"""

from __future__ import annotations

from pathlib import Path

from kodak_eval.errors import EvaluationError


def evaluate_clips(folder: Path, output: Path) -> None:
    """Evaluate the clips in ``folder`` and write the report to ``output``.

    Raises:
        EvaluationError: always, until there is a video codec.

    """
    raise EvaluationError("evaluation of clips comes with the video codec; evaluate pictures without --video")
