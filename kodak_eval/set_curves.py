"""Curves of FID and KID: one value for a codec at a setting, over the patches of all pictures."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kodak_eval.averages import Averages
from kodak_eval.cache import Cache, Entry
from kodak_eval.measurement import Job
from kodak_eval.patches import PATCH, Features, distances, features_of

if TYPE_CHECKING:
    from torch import Tensor


def set_averages(
    names: Sequence[str],
    like: Averages,
    jobs: Sequence[Job],
    cache: Cache,
    network: Features,
    fingerprint: str,
    done: Callable[[object], None] = lambda point: None,
) -> dict[str, Averages]:
    """Return the curves of ``names``, from ``fid`` and ``kid``, over the pictures of other curves.

    Args:
        names: of the metrics.
        like: curves of a metric of pictures: the same codecs, settings, rates and pictures are taken.
        jobs: of the run; their encoded pictures are in the cache.
        cache: of the run; a set that was measured once is not measured again.
        network: as ``inception`` gives it.
        fingerprint: of the network; what was measured with another one does not count.
        done: called after each point of each curve.

    """
    import torch

    wanted = [job for job in jobs if job.picture.name in like.pictures]
    by_point: dict[tuple[str, float], list[Job]] = {}
    for job in sorted(wanted, key=lambda job: like.pictures.index(job.picture.name)):
        by_point.setdefault((job.codec.name, job.setting), []).append(job)
    originals: list[Tensor] = []
    values: dict[tuple[str, float], dict[str, float]] = {}
    for curve in like.curves:
        for setting in curve.settings:
            point = by_point[curve.name, setting]
            key = hashlib.sha256("\0".join([fingerprint, *(job.cache_key() for job in point)]).encode()).hexdigest()
            found = cache.load(key)
            if found is None:
                originals = originals or [f for job in point for f in features_of(job.picture.read(), network)]
                decoded = [f for job in point for f in features_of(_decoded(job, cache), network)]
                few = len(originals) == 0 or sum(map(len, originals)) < 2
                none = {"fid": math.nan, "kid": math.nan}
                entry = Entry(0, 0, none if few else distances(torch.cat(originals), torch.cat(decoded)))
                cache.store(key, b"", entry)
            else:
                entry = found[1]
            values[curve.name, setting] = entry.values
            done(curve)
    return {name: _curves(name, like, values) for name in names}


def _decoded(job: Job, cache: Cache) -> np.ndarray:
    found = cache.load(job.cache_key())
    return job.codec.decode(found[0] if found else job.codec.encode(job.picture.read(), job.setting))


def _curves(name: str, like: Averages, values: dict[tuple[str, float], dict[str, float]]) -> Averages:
    curves = []
    for curve in like.curves:
        points = zip(curve.rates, curve.settings, strict=True)
        rows = [(rate, values[curve.name, setting][name], setting) for rate, setting in points]
        rows = [row for row in rows if math.isfinite(row[1])]
        if rows:
            rates, qualities, settings = zip(*rows, strict=True)
            curves.append(dataclasses.replace(curve, rates=rates, qualities=qualities, settings=settings))
    left_out = dict(like.left_out)
    if not curves:
        left_out["every picture"] = f"too few patches of {PATCH}x{PATCH} pixels"
    return Averages(name, tuple(curves), like.pictures if curves else (), left_out)
