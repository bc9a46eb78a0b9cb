"""Which files are cut short in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kodak_eval.codecs.base import Codec
from kodak_eval.datasets import DatasetPicture
from kodak_eval.errors import CodecUnavailableError
from kodak_eval.measurement import Job, Measurement
from kodak_eval.progressive.codecs import ANCHORS, ProgressiveCodec, levels_of
from kodak_eval.progressive.cutting import QUALITY, CutTask

STRIP_PICTURES = 2


def cut_tasks(
    codecs: Sequence[Codec],
    versions: Mapping[str, str],
    pictures: Sequence[DatasetPicture],
    measurements: Sequence[Measurement],
) -> tuple[list[CutTask], dict[str, str]]:
    """Return a task for each codec in levels and picture, and why anchors are left out.

    Args:
        codecs: of the run.
        versions: of them, by name.
        pictures: to cut.
        measurements: of the run, for what the codecs make of a size.

    """
    in_levels = [found for found in map(levels_of, codecs) if found is not None] if pictures else []
    anchors, missing = _anchors() if in_levels else ((), {})
    known: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for m in measurements:
        if not m.error and "psnr" in m.values:
            known.setdefault((m.codec, m.picture), []).append((m.bpp, m.values["psnr"]))
    tasks = [
        CutTask(
            Job(picture, codec, QUALITY, versions[codec.name], ()),
            anchors,
            tuple(known.get((codec.name, picture.name), ())),
            number < STRIP_PICTURES,
        )
        for number, picture in enumerate(pictures)
        for codec in in_levels
    ]
    return tasks, missing


def _anchors() -> tuple[tuple[tuple[ProgressiveCodec, str], ...], dict[str, str]]:
    found, missing = [], {}
    for anchor in ANCHORS:
        try:
            found.append((anchor, anchor.version()))
        except CodecUnavailableError as error:
            missing[anchor.name] = str(error)
    return tuple(found), missing
