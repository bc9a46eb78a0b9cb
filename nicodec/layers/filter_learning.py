"""Learns the matrices of an `AdaptiveFilter`, once the codec is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from nicodec.entropy.tables import SCALE_MIN, SCALE_STEP, SCALES
from nicodec.exact.anchors import QUALITY_STEPS
from nicodec.layers.adaptive_filter import FEATURES, RIDGE, AdaptiveFilter, statistics

STEP_LOW, STEP_HIGH = 0.045, 0.017
"""Of the symbols at quality 0 and 100: a change of the matrix by so many root mean square errors, whitened."""

WHITE_RIDGE = 0.1
"""Added to the whitened features' products of one crop, so that what it hardly has does not count."""


@torch.no_grad()
def learn_filter(layer: AdaptiveFilter, decoded: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Set `layer` to the principal components of the filters that fit decoded pictures best.

    Each picture's filter is weighted by its error's inverse, so that all qualities count alike, and by how much of
    every feature there is on average, so that directions of equal length change pixels about alike.

    Args:
        layer: the filter.
        decoded: pictures (1, 3, H, W), what is decoded of each, not clamped, and its quality (1,) in half steps,
            over all of the range; some hundreds, and of none nothing is learned.

    """
    grams, crosses, errors, qualities = [], [], [], []
    for x, x_hat, quality in decoded:
        gram, cross, pixels = statistics(x, x_hat)
        grams.append(gram / pixels)
        crosses.append(cross / pixels)
        errors.append((x - x_hat.clamp(0, 1)).square().mean().clamp(min=1e-8).double().cpu())
        qualities.append(quality[0].double().cpu() / QUALITY_STEPS)
    if not grams:
        return
    gram, cross, error, t = (torch.stack(each) for each in (grams, crosses, errors, qualities))

    powers = torch.stack([t**0, t, t**2], 1)
    log_unit = torch.linalg.lstsq(powers, 0.5 * error.log()[:, None]).solution[:, 0]
    log_unit[0] += math.log(STEP_LOW)
    log_unit[1] += math.log(STEP_HIGH / STEP_LOW)
    whiten = torch.linalg.inv(torch.linalg.cholesky(gram.mean(0) + 1e-9 * torch.eye(FEATURES)))
    white = whiten @ gram @ whiten.T
    filters = cross @ whiten.T @ torch.linalg.inv(white + WHITE_RIDGE * torch.eye(FEATURES))
    components = _components((filters / error.sqrt()[:, None, None]).flatten(1), len(layer.index))
    basis = components.view(-1, 3, FEATURES) @ whiten

    squares = torch.einsum("kif,pfg,lig->pkl", basis, gram, basis)
    products = torch.einsum("kif,pif->pk", basis, cross)
    ridge = RIDGE * torch.diag_embed(squares.diagonal(dim1=1, dim2=2))
    best = torch.cholesky_solve(products[:, :, None], torch.linalg.cholesky(squares + ridge))[:, :, 0]
    symbols = best / torch.exp(powers @ log_unit)[:, None]
    deviation = 1.25 * symbols.abs().mean(0)
    order = deviation.argsort(descending=True)
    layer.basis.copy_(basis[order])
    layer.log_unit.copy_(log_unit)
    index = torch.round(torch.log(deviation[order] / SCALE_MIN) / SCALE_STEP)
    layer.index.copy_(index.clamp(1, SCALES - 1))


def _components(rows: Tensor, count: int) -> Tensor:
    """Principal directions (count, n) of rows (N, n) about zero."""
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    directions: Tensor = vectors[:, values.argsort(descending=True)[:count]].T
    return directions
