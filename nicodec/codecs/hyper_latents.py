"""Hyper-latents in four passes, and the integers that integer networks give to priors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nicodec.entropy.coder import Coder
from nicodec.entropy.factorized import FactorizedModel
from nicodec.entropy.priors import GaussianMixture, Prior
from nicodec.entropy.tables import SCALES
from nicodec.exact.symbols import signed_features
from nicodec.layers.contexts import learn, passes

OFFSET_MAX = 512
"""Largest offset of a Gaussian that priors take, in 1/16."""

HALF_WIDTH = 15
"""Hyper-latents beyond are escaped."""


def index_of(parameters: Tensor) -> Tensor:
    """Scale indices of what integer networks give, in 1/16."""
    return (parameters + 8).div_(16).floor_().clamp_(0, SCALES - 1).to(torch.int64)


def offset_of(parameters: Tensor) -> Tensor:
    """Offsets of Gaussians of what integer networks give."""
    return parameters.clamp(-OFFSET_MAX, OFFSET_MAX).to(torch.int64)


def code_hyper_latents(
    coder: Coder,
    z: Tensor | None,
    shape: tuple[int, int, int, int],
    quality: Tensor,
    model: FactorizedModel,
    contexts: Sequence[nn.Module] | nn.ModuleList,
    *,
    training: bool,
) -> Tensor:
    """Hand hyper-latents to `coder`, each pass on those before it. Returns them, (B, C, H, W).

    Args:
        coder: what is done with the symbols.
        z: as they are; None when decoding.
        shape: of them: B, C, H, W.
        quality: int64 (B,), half steps.
        model: of the first pass.
        contexts: integer networks of the others, `HyperContext`.
        training: whether parameters are real.

    """
    z_hat: list[Tensor] = []
    for number, (own, where) in enumerate(passes(shape, shape[1] // 2, quality.device)):
        if number == 0:
            prior: Prior = model((shape[0], own.stop, *shape[2:]), quality, where)
        else:
            features = signed_features(torch.cat(z_hat, 1), training)
            prior = _prior(contexts[number - 1](features, quality), where, training)
        learn(z_hat, number, coder.code(None if z is None else z[:, own], prior))
    return torch.cat(z_hat, 1)


def _prior(parameters: Tensor, where: Tensor, training: bool) -> Prior:
    """Of (B, 2, C, H, W): indices and offsets, real in training, else integers in 1/16."""
    indices, offsets = parameters[:, :1], parameters[:, 1:]
    if not training:
        indices, offsets = index_of(indices), offset_of(offsets)
    return GaussianMixture(torch.zeros_like(indices), offsets, indices, where, HALF_WIDTH)
