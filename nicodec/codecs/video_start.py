"""What the network of clips starts its training as."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.codecs.video_network import VideoNetwork
from nicodec.codecs.video_planes import GRID, PIXEL_GAIN
from nicodec.entropy.tables import SCALE_MIN, SCALE_STEP, SCALES
from nicodec.exact.anchors import ANCHORS
from nicodec.layers.components import levelling
from nicodec.layers.contexts import ScaleContext

DEVIATION_MIN = 0.05
"""Components are normalised by no less than this."""

RIDGE = 1e-4
"""Of the mean power of differences, added to each one's."""


@torch.no_grad()
def start_from(codec: VideoNetwork, differences: Tensor) -> None:
    """Set the linear part to the principal components of differences, gains and scales to fit.

    Args:
        codec: untrained.
        differences: (N, 96, 2, 2) float32: squares of 16 pixels of frames less their predictions, in the grid.

    """
    c = codec.config
    samples = differences.permute(0, 2, 3, 1).flatten(0, 2)
    basis, deviation = _principal_components(samples)
    rest = torch.ones(c.context, dtype=torch.float32)
    codec.to_fine.set_matrix(basis.T, torch.zeros(GRID), torch.ones(GRID))
    fine_scale = levelling(deviation, DEVIATION_MIN)
    codec.from_fine.set_matrix(basis, torch.zeros(GRID), fine_scale)
    for stack in (codec.fine_analysis, codec.fine_synthesis):
        stack.set_input_scale(torch.cat([fine_scale, rest]))

    groups = F.pixel_unshuffle(codec.to_fine(differences), 2).flatten(1)
    basis, deviation = _principal_components(groups)
    basis, deviation = basis[:, : c.coarse_latents], deviation[: c.coarse_latents]
    codec.deviation.zero_()
    codec.deviation[: c.coarse_latents] = deviation.clamp(min=DEVIATION_MIN)[:, None, None]
    coarse_scale = torch.cat([levelling(deviation, DEVIATION_MIN), torch.ones(c.coarse_context, dtype=torch.float32)])
    for stack in (codec.coarse_analysis, codec.coarse_synthesis):
        stack.set_input_scale(coarse_scale)
    inward = torch.zeros(c.coarse_latents, 4 * (GRID + c.context))
    inward[:, : 4 * GRID] = basis.T
    scale = torch.cat(
        [levelling(groups.std(0), DEVIATION_MIN), torch.full((4 * c.context,), 0.5, dtype=torch.float32)]
    )
    codec.to_latents.set_matrix(inward, torch.zeros(c.coarse_latents), scale)
    codec.from_latents.set_matrix(
        torch.cat([inward.T, torch.zeros(len(inward.T), c.latents + c.coarse_context - c.coarse_latents)], 1),
        torch.zeros(len(inward.T)),
        torch.cat([coarse_scale, torch.ones(c.latents - c.coarse_latents, dtype=torch.float32)]),
    )
    # As for pictures, but an error of luma counts 6/8 of a pixel's, not 1/3 (see `Hyperprior.start_from`).
    quality = torch.linspace(0, 200, ANCHORS)
    step = torch.sqrt(8 / (math.log(2) * c.rate_weight(quality))) * PIXEL_GAIN / 255
    codec.log_gain.anchors.copy_(-torch.log(step[:, None]))
    codec.log_inverse_gain.anchors.copy_(torch.log(step[:, None]))
    index = (torch.log(deviation[None] / step[:, None] / SCALE_MIN) / SCALE_STEP).clamp(-8, SCALES + 8)
    for p, context in enumerate(codec.scale_context):
        assert isinstance(context, ScaleContext)
        own = index[:, : c.split] if p < 2 else index[:, c.split :]
        context.leave.bias[:, : own.shape[1]] = own
    if codec.lacking():
        kept = F.pixel_shuffle((groups @ basis @ basis.T)[:, :, None, None], 2)
        start_rest(codec, differences, differences - codec.from_fine(kept))


@torch.no_grad()
def start_rest(codec: VideoNetwork, differences: Tensor, errors: Tensor) -> None:
    """Let the latents that stand for nothing yet stand for what the others leave out.

    They are the principal components of what differences, linearly, say of it. Their scales start as those of the
    as many before them are on the average, for their size.

    Args:
        codec: lacks some latents.
        differences: (N, 96, 2, 2) float32, as `start_from` has them.
        errors: (N, 96, 2, 2) float32, what is left out of them.

    """
    count = codec.lacking()
    x, wanted = differences.flatten(1).double(), errors.flatten(1).double()
    power = x.T @ x
    power.diagonal().add_(RIDGE * power.diagonal().mean())
    linear = torch.linalg.solve(power, x.T @ wanted)
    basis, _ = _principal_components((x @ linear).float())
    outward = basis[:, :count]
    inward = outward.T @ linear.T.float()
    deviation = (differences.flatten(1) @ inward.T).std(0)
    codec.deviation[-count:] = deviation.clamp(min=DEVIATION_MIN)[:, None, None]
    if count == len(codec.to_rest.weight):
        codec.to_rest.input_scale.copy_(levelling(differences.flatten(1).std(0), DEVIATION_MIN))
    codec.to_rest.weight[-count:] = inward / codec.to_rest.input_scale
    scale = levelling(deviation, DEVIATION_MIN)
    codec.from_rest.input_scale[-count:] = scale
    codec.from_rest.weight[:, -count:] = outward / scale
    codec.from_latents.input_scale[-count:] = scale
    for table in (codec.log_gain, codec.log_inverse_gain):
        table.anchors[:, -count:] = table.anchors[:, :-count].mean(1, keepdim=True)
    size = torch.log(codec.deviation.flatten()) + codec.log_gain.anchors
    split, before = codec.config.split, slice(-2 * count, -count)
    for context in codec.scale_context[2:]:
        assert isinstance(context, ScaleContext)
        for layer in (context.leave, context.neighbours):
            if layer is not None:
                layer.weight[-count:] = layer.weight[before].mean(0)
        own = context.leave.bias - size[:, split:] / SCALE_STEP
        context.leave.bias[:, -count:] = own[:, before].mean(1, keepdim=True) + size[:, -count:] / SCALE_STEP


def _principal_components(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Basis (n, n) by falling energy and deviations (n,) of samples (N, n) about zero."""
    double = samples.double()
    _, vectors = torch.linalg.eigh(double.T @ double / len(double))
    basis = vectors.flip(1).float()
    return basis, (samples @ basis).std(0)
