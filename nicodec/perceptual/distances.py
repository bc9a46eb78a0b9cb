"""Distances of pictures by their features.

Sources: unit-normalised features at several depths, as in Zhang et al. 2018 (LPIPS, whose learned heads these have
not); Wasserstein distortion, Qiu et al. 2024, with the low pass of Cool-chic's implementation.
"""

from __future__ import annotations

import torch
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
