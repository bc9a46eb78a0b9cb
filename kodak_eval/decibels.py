"""MS-SSIM in decibels, as papers draw it: near 1 its own values can no longer be told apart."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kodak_eval.curves import Curve

METRIC = "ms_ssim"
LABEL = "MS-SSIM, RGB (dB, −10 log10(1 − MS-SSIM))"


def decibels(value: float) -> float:
    """Return MS-SSIM of 0..1 in dB, at most 90."""
    return -10 * math.log10(max(1 - value, 1e-9))


def as_plotted(metric: str, curve: Curve) -> Curve:
    """Return a curve of MS-SSIM in decibels, and one of another metric as it is."""
    return curve if metric != METRIC else replace(curve, qualities=tuple(map(decibels, curve.qualities)))


def shown_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``results.as_json`` gave with MS-SSIM in decibels, for people to look at."""
    if METRIC not in document["metrics"]:
        return dict(document)
    shown = copy.deepcopy({key: value for key, value in document.items() if key != "measurements"})
    shown["metrics"][METRIC] |= {"label": "MS-SSIM, RGB (dB)", "short": "MS-SSIM (dB)"}
    for kind in ("measured", "published"):
        for curve in shown["curves"][METRIC][kind]:
            curve["qualities"] = [decibels(value) for value in curve["qualities"]]
    for row in shown["bd_rates"][METRIC].values():
        for value in row.values():
            for end in ("low", "high"):
                if end in value:
                    value[end] = decibels(value[end])
    return shown
