"""Distances of pictures by their features.

Sources: unit-normalised features at several depths, as in Zhang et al. 2018 (LPIPS, whose learned heads these have
not); Wasserstein distortion, Qiu et al. 2024, with the low pass of Cool-chic's implementation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.perceptual.networks import FeatureNetwork, halved

WASSERSTEIN_LEVELS = 3
"""Halvings over which local means and deviations are taken: about 8 features of the finest depth."""

VARIANCE_MIN = 5e-7


def feature_distance(network: FeatureNetwork, x: Tensor, y: Tensor) -> Tensor:
    """Mean over depths of the squared differences of features of unit length, (B,); 0 for equal pictures.

    Args:
        network: gives the features.
        x: (B, 3, H, W) in [0, 1].
        y: likewise.

    """
    pairs = zip(network(x), network(y), strict=True)
    return torch.stack([(_unit(a) - _unit(b)).square().sum(1).mean((1, 2)) for a, b in pairs]).mean(0)


DETAIL_SCALES, DETAIL_SIDE, FLAT = 3, 8, 2 / 255
"""Sizes at which detail is weighed, each half of the one before: periods of 2 to 16 pixels; the side of the squares
in which that is done; and the deviation of detail up to which squares count as flat."""


def added_detail(x: Tensor, y: Tensor) -> Tensor:
    """How much more detail y has than x where x is flat, (B,), in codes of 255; 0 where there is none.

    The deviation from a low pass of 3x3, root mean square over squares of 8 pixels: what y has more than x, weighted
    by FLAT² / (FLAT² + that of x squared); the sum of three sizes.

    Args:
        x: (B, C, H, W) in [0, 1], sides 40 or more.
        y: likewise.

    """
    total = x.new_zeros(len(x))
    for scale in range(DETAIL_SCALES):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        before, after = (_local_square(_detail(each)) for each in (x, y))
        more = F.relu((after + 1e-8).sqrt() - (before + 1e-8).sqrt())
        total = total + 255 * (more * FLAT**2 / (FLAT**2 + before)).mean((1, 2, 3))
    return total


def _local_square(x: Tensor) -> Tensor:
    return F.avg_pool2d(x.square().mean(1, keepdim=True), DETAIL_SIDE, DETAIL_SIDE // 2)


def _detail(x: Tensor) -> Tensor:
    """What a binomial low pass of 3x3 takes away, (B, C, H - 2, W - 2)."""
    rows = 0.25 * (x[..., :-2, :] + x[..., 2:, :]) + 0.5 * x[..., 1:-1, :]
    low = 0.25 * (rows[..., :-2] + rows[..., 2:]) + 0.5 * rows[..., 1:-1]
    return x[..., 1:-1, 1:-1] - low


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True) + 1e-8).sqrt()


def wasserstein_distortion(network: FeatureNetwork, x: Tensor, y: Tensor) -> Tensor:
    """Squared differences of local means and local deviations of features, mean over depths and levels, (B,).

    Texture that looks alike without being alike costs little. Features are divided by their root mean square in x.
    """
    total = x.new_zeros(len(x))
    found = list(zip(network(x), network(y), strict=True))
    for a, b in found:
        size = a.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-6
        total = total + _local_difference(a / size, b / size)
    return total / len(found)


def _local_difference(a: Tensor, b: Tensor) -> Tensor:
    difference = (a - b).square().mean((1, 2, 3))
    moments = [(each, each.square()) for each in (a, b)]
    levels = 1
    for _ in range(WASSERSTEIN_LEVELS):
        if min(moments[0][0].shape[2:]) < 2:
            break
        moments = [(halved(mean), halved(square)) for mean, square in moments]
        (mean_a, _), (mean_b, _) = moments
        deviation_a, deviation_b = (
            (square - mean.square()).clamp(min=VARIANCE_MIN).sqrt() for mean, square in moments
        )
        difference = difference + ((mean_a - mean_b).square() + (deviation_a - deviation_b).square()).mean((1, 2, 3))
        levels += 1
    return difference / levels
