"""The objective of codecs with latents: λ·255²·MSE + bits, over all of the quality range at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nicodec.codecs.latent import LatentCodec
from nicodec.errors import InputError
from nicodec.exact.anchors import QUALITY_STEPS
from nicodec.training.bounds import are_bounded, set_bounds
from nicodec.training.budget import Budget
from nicodec.training.data import Pictures, PictureSettings
from nicodec.training.loss import drawn_qualities, rate_distortion
from nicodec.training.objective import DataSettings, Objective
from nicodec.training.preview import preview, preview_pictures
from nicodec.training.scales import learn_scales
from nicodec.training.settings import setting
from nicodec.training.steps import Steps, check_stages
from nicodec.training.workers import Workers
from nicodec.zoo import find_model, load_codec

DECODED_LEAST = 24
"""Crops that a codec's end of training gets at least, however small the budget."""


@dataclass(frozen=True)
class Stage:
    """A part of the training."""

    until: float = setting(1.0, help="Share of the training at which it ends; the last one's is 1.", least=0, most=1)
    crop: int = setting(128, help="Side of the crops in pixels.", least=16)
    batch: int = setting(8, help="Crops a step, of each worker.", least=1)
    rate: float = setting(1.0, help="What the learning rates are multiplied by.", least=0)


@dataclass(frozen=True)
class RateDistortionSettings:
    """The [objective] table."""

    start_blocks: int = setting(60_000, help="16x16 blocks of pictures that a codec starts from.", least=1000)
    start_model: str = setting("", help="A model of another family that a codec starts from, in place of blocks.")
    start_crops: int = setting(64, help="Crops of pictures that it starts from, too.", least=1)
    stages: tuple[Stage, ...] = setting((Stage(),), help="One after another.")
    learning_rate: float = setting(1e-3, help="AdamW's.", least=0)
    muon_learning_rate: float = setting(0.0, help="Muon's, on matrices of 1x1 layers; 0: AdamW there too.", least=0)
    warmup_steps: int = setting(200, help="In which the rate rises from nothing.", least=0)
    decay_from: float = setting(0.4, help="Share of the training from which the rate falls.", least=0, most=0.99)
    weight_decay: float = setting(0.0, help="Of both optimisers.", least=0)
    gradient_clip: float = setting(1.0, help="Largest norm of the gradient.", least=1e-6)
    ema: float = setting(0.999, help="Decay of the average of the weights.", least=0, most=1)
    lambda_power: float = setting(-0.5, help="A sample's loss is weighted by λ to this power.")
    scale_share: float = setting(
        0.05, help="Share of the budget for fitting integer networks to the encoder's symbols.", least=0, most=0.5
    )
    filter_share: float = setting(
        0.02, help="Share of it for what a codec fits to decoded crops (its filter).", least=0, most=0.4
    )
    filter_crops: int = setting(1000, help="Of them at most.", least=0)
    bound_share: float = setting(
        0.01, help="Share of it for the bounds of residual blocks, if they have none.", least=0, most=0.4
    )

    def __post_init__(self) -> None:
        check_stages(self.stages)


class RateDistortion(Objective[LatentCodec, Pictures]):
    """Trains the traversal by its estimated bits and mean squared error; qualities are drawn anew for each crop.

    At the start the codec is set up from blocks of pictures; at the end its averaged weights get their integer
    networks fitted to the symbols that the encoder picks, and what it fits to decoded pictures.
    """

    settings_type: ClassVar[type[Any]] = RateDistortionSettings
    data_type: ClassVar[type[DataSettings]] = PictureSettings
    settings: RateDistortionSettings

    def __init__(
        self, codec: LatentCodec, settings: RateDistortionSettings, source: Pictures, workers: Workers
    ) -> None:
        """See `Objective`."""
        if not isinstance(codec, LatentCodec):
            raise InputError(f"{type(codec).__name__} has no latents; rate-distortion cannot train it")
        super().__init__(codec, settings, source, workers)
        source.need_crops([stage.crop for stage in settings.stages], codec.alignment)
        self._steps = Steps(codec, settings, settings.stages, weight_decay=settings.weight_decay)

    @classmethod
    def open_source(
        cls, data: Any, folders: Sequence[Path], shares: Sequence[float], seed: int, budget: Budget, workers: Workers
    ) -> Pictures:
        """See `Objective.open_source`."""
        return Pictures(folders, data, seed, budget, workers, shares)

    @cached_property
    def _network(self) -> nn.Module:
        """The codec as it is called in training: made after `start`, when its first worker's weights become all's."""
        return self.workers.wrap(self.codec)

    def start(self, *, initialised: bool) -> None:
        """See `Objective.start`."""
        if initialised:
            return
        if self.settings.start_model:
            self._start_from_model()
            return
        self.workers.say("starting from blocks of the pictures")
        self.codec.start_from(self.source.blocks(self.settings.start_blocks, self.settings.stages[0].crop))

    def _start_from_model(self) -> None:
        """Set the codec up from a model of another family.

        Raises:
            InputError: it cannot start from that model.

        """
        name, settings = self.settings.start_model, self.settings
        self.workers.say(f"starting from the model {name}")
        try:
            other = load_codec(find_model(name), self.workers.device)
            crops = self.source.batch(settings.start_crops, max(stage.crop for stage in settings.stages))
            self.codec.start_from_model(other, crops)
        except ValueError as error:
            raise InputError(f"start_model {name}: {error}") from error

    def step(self, share: float) -> dict[str, Tensor]:
        """See `Objective.step`."""
        self._steps.share = share
        stage, device = self._steps.stage, self.workers.device
        x = self.source.batch(stage.batch, stage.crop)
        quality = drawn_qualities(stage.batch).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.workers.bfloat16):
            x_hat, bits = self._network(x, quality)
        weight = self.codec.rate_weight(quality)
        loss, bpp, mse = rate_distortion(x, x_hat.float(), bits, weight, self.settings.lambda_power)
        norm = self._steps.take(loss)
        psnr = -10 * torch.log10(mse.detach().clamp(min=1e-10)).mean()
        return {"loss": loss.detach(), "bpp": bpp.detach().mean(), "psnr": psnr, "norm": norm}

    def end_share(self) -> float:
        """See `Objective.end_share`."""
        return self.settings.scale_share + self.settings.filter_share + self.settings.bound_share

    def finish(self, budget: Budget) -> LatentCodec:
        """See `Objective.finish`."""
        settings, say = self.settings, self.workers.say
        codec = self._steps.averaged()
        whole = max(self.end_share(), 1e-9)
        last = settings.stages[-1]
        if settings.bound_share and not are_bounded(codec):
            set_bounds(codec, codec, self.source, budget.part(settings.bound_share / whole), last.crop)
        if settings.scale_share:
            steps = learn_scales(
                codec,
                self.source,
                budget.part(settings.scale_share / whole),
                batch=last.batch,
                crop=last.crop,
                power=settings.lambda_power,
                bfloat16=self.workers.bfloat16,
            )
            say(f"fitted the integer networks in {steps} steps")
        if settings.filter_share:
            codec.finish_training(self._decoded(codec, budget.part(settings.filter_share / whole)))
        codec.to_integers()
        return codec.eval()

    @torch.no_grad()
    def _decoded(self, codec: LatentCodec, budget: Budget) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Crops, what is decoded of each, and at which quality."""
        device, crop = self.workers.device, self.settings.stages[-1].crop
        for number in range(self.settings.filter_crops):
            if number >= DECODED_LEAST and budget.share() >= 1:
                break
            budget.steps += 1
            x = self.source.batch(1, crop)
            quality = torch.randint(QUALITY_STEPS + 1, (1,), device=device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.workers.bfloat16):
                x_hat, _ = codec(x, quality)
            yield x, x_hat.float(), quality

    def preview(self, finished: LatentCodec | None) -> list[dict[str, float]]:
        """See `Objective.preview`."""
        codec = finished or self._steps.averaged()
        pictures = preview_pictures(self.source.held_out, codec.alignment)
        return preview(codec, pictures, self.workers.device, bfloat16=self.workers.bfloat16)

    def state_dict(self) -> dict[str, Any]:
        """See `Objective.state_dict`."""
        return self._steps.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Objective.load_state_dict`."""
        self._steps.load_state_dict(state)
