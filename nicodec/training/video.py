"""The objective of the codec of clips: λ·255²·MSE + bits over short sequences, gradients through all of their frames.

A sequence begins with a frame that is coded as a picture, or clean, or noisy; the next ones are coded one after the
other, each on what the codec made of those before: as a chain of P-frames, or as the first frames of a pyramid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nicodec.codecs.latent import LatentCodec
from nicodec.codecs.video_network import Coded, Prepared, Reference, VideoNetwork, prepare
from nicodec.codecs.video_order import KEY_BONUS, LOW_DELAY_STEPS
from nicodec.codecs.video_planes import Planes, to_codes, weighted_error
from nicodec.codecs.video_start import start_from, start_rest
from nicodec.entropy.coder import LeastCost, RateEstimator
from nicodec.errors import InputError
from nicodec.exact.anchors import QUALITY_STEPS
from nicodec.training.budget import Budget
from nicodec.training.fitting import Fit
from nicodec.training.loss import cost_weight, drawn_qualities, sample_weight
from nicodec.training.objective import DataSettings, Objective
from nicodec.training.settings import setting
from nicodec.training.steps import Steps, check_stages
from nicodec.training.video_data import Clips, ClipSettings
from nicodec.training.workers import Workers
from nicodec.zoo import find_model, load_codec

FIT_RATE, FIT_WARMUP, FIT_DECAY = 2e-4, 20, 0.9
"""When the integer networks are fitted at the end: AdamW's rate, its warm-up, and the decay of their average."""

SPREAD = 5.0
"""Deviation of the frames' qualities from those of the plan, in half steps."""

KEY_SHARE = 0.6
"""Share of the sequences whose first frame is as fine as a key frame; that of the others is as fine as an anchor."""

START_QUALITY = 120
"""Half steps; what latents leave out is looked at where they are at least so fine."""

PREVIEW_GROUP, PREVIEW_SIDE, PREVIEW_QUALITIES = 8, 256, (25, 45, 65)
PREVIEW_CLIPS = 3
"""Held-out clips that every preview looks at, the first ones: however long it takes, they are always the same."""


@dataclass(frozen=True)
class VideoStage:
    """A part of the training."""

    until: float = setting(1.0, help="Share of the training at which it ends; the last one's is 1.", least=0, most=1)
    crop: int = setting(128, help="Side of the crops in pixels, a multiple of 64.", least=64)
    batch: int = setting(4, help="Sequences a step, of each worker.", least=1)
    frames: int = setting(3, help="Coded in each, beside the first.", least=1)
    before: int = setting(
        0, help="P-frames at most that half of the chains have before those, without gradients.", least=0
    )
    anchors_before: int = setting(
        0, help="Anchors at most that pyramids have before their own, without gradients.", least=0, most=4
    )
    rate: float = setting(1.0, help="What the learning rates are multiplied by.", least=0)


@dataclass(frozen=True)
class VideoSettings:
    """The [objective] table."""

    stages: tuple[VideoStage, ...] = setting((VideoStage(),), help="One after another.")
    start_blocks: int = setting(20_000, help="Squares of 16 pixels that the codec starts from.", least=500)
    pyramid_share: float = setting(0.65, help="Share of the steps on pyramids; the others are of chains.", least=0)
    level_step: int = setting(14, help="Half steps by which each level of a pyramid is coarser.", least=0)
    learning_rate: float = setting(1e-3, help="AdamW's.", least=0)
    muon_learning_rate: float = setting(0.0, help="Muon's, on matrices of 1x1 layers; 0: AdamW there too.", least=0)
    warmup_steps: int = setting(100, help="In which the rate rises from nothing.", least=0)
    decay_from: float = setting(0.4, help="Share of the training from which the rate falls.", least=0, most=0.99)
    gradient_clip: float = setting(0.5, help="Largest norm of the gradient.", least=1e-6)
    ema: float = setting(0.998, help="Decay of the average of the weights.", least=0, most=1)
    lambda_power: float = setting(-0.5, help="A sample's loss is weighted by λ to this power.")
    cost_power: float = setting(0.0, help="A sequence's loss is weighted by itself to this power; -1: percents.")
    scale_share: float = setting(
        0.03, help="Share of the budget for fitting integer networks to the encoder's symbols.", least=0, most=0.5
    )

    def __post_init__(self) -> None:
        check_stages(self.stages)


@dataclass(frozen=True)
class Step:
    """A frame of a sequence: its place among those given, and what it refers to.

    Attributes:
        frame: number in the sequence's list of frames.
        references: numbers of one or two frames coded before.

    """

    frame: int
    references: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A kind of sequence.

    Attributes:
        times: of the frames.
        bonuses: how much finer each is, in half steps.
        steps: the order of coding.
        before: how many of the steps only make what the others refer to; they have no gradients and no loss.

    """

    times: tuple[int, ...]
    bonuses: tuple[int, ...]
    steps: tuple[Step, ...]
    before: int = 0

    @property
    def learned(self) -> tuple[Step, ...]:
        """The steps that have a loss."""
        return self.steps[self.before :]


def chain(frames: int, stride: int, random: np.random.Generator, before: int = 0) -> Plan:
    """P-frames one after another as in low delay, from a key frame on or from the midst of a clip.

    Half of the chains have the last fine frame as second reference, where it is an earlier one; and half of them
    begin with up to `before` frames without gradients, whose errors the others meet.
    """
    before = int(random.integers(1, before + 1)) if before and random.random() < 0.5 else 0
    frames += before
    two, is_key = random.random() < 0.5, random.random() < KEY_SHARE
    period = len(LOW_DELAY_STEPS)
    phase = 0 if is_key else int(random.integers(period))
    bonuses = [LOW_DELAY_STEPS[(n + phase) % period] for n in range(frames + 1)]
    if is_key:
        bonuses[0] = KEY_BONUS
    steps, fine = [], 0
    for number in range(1, frames + 1):
        earlier = (fine,) if two and fine < number - 1 else ()
        steps.append(Step(number, (number - 1, *earlier)))
        if (number + phase) % period == 0:
            fine = number
    return Plan(tuple(stride * n for n in range(frames + 1)), tuple(bonuses), tuple(steps), before)


def pyramid(frames: int, span: int, level_step: int, random: np.random.Generator, before: int = 0) -> Plan:
    """An anchor so many frames on, then ever closer ones between; of each level one, at random.

    Up to `before` anchors, as far from each other, come before those and have no gradients: without them an anchor is
    only ever predicted from a picture.
    """
    before = int(random.integers(before + 1))
    low, high = before, before + 1
    times = [span * n for n in range(high + 1)]
    steps = [Step(n, (n - 1,)) for n in range(1, high + 1)]
    bonuses = [KEY_BONUS if random.random() < KEY_SHARE else 0] + [0] * high
    for level in range(1, frames):
        if times[high] - times[low] < 2:
            break
        times.append((times[low] + times[high]) // 2)
        middle = len(times) - 1
        bonuses.append(-level_step * level)
        steps.append(Step(middle, (low, high)))
        low, high = (low, middle) if random.random() < 0.5 else (middle, high)
    return Plan(tuple(times), tuple(bonuses), tuple(steps), before)


def whole_pyramid(span: int, level_step: int) -> Plan:
    """All frames of a group of a power of two."""
    steps, step, bonuses = [Step(span, (0,))], span, [0] * (span + 1)
    level = 1
    while step > 1:
        half = step // 2
        for low in range(0, span, step):
            steps.append(Step(low + half, (low, low + step)))
            bonuses[low + half] = -level_step * level
        step, level = half, level + 1
    return Plan(tuple(range(span + 1)), tuple(bonuses), tuple(steps))


class _Sequence(nn.Module):
    """Codes the frames of a sequence; what workers share the gradients of."""

    def __init__(self, codec: VideoNetwork, *, as_encoder: bool = False) -> None:
        """`as_encoder`: symbols are those of least cost, and the rate is theirs."""
        super().__init__()
        self.codec, self._as_encoder = codec, as_encoder

    def forward(
        self, frames: Sequence[Planes], first: Planes, intra: bool, plan: Plan, qualities: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of the learned steps: squared errors (steps, B), see `weighted_error`, bits, and those of vectors.

        Args:
            frames: as they are.
            first: what is decoded of the first.
            intra: whether it was coded as a picture, so to say.
            plan: order and references.
            qualities: of all frames, (B,) each.

        """
        codec = self.codec
        start = codec.first_reference(first, qualities[0], intra=intra)
        known: dict[int, tuple[Reference, Prepared]] = {0: (start, prepare(first))}
        errors, bits, vector_bits = [], [], []
        for number, step in enumerate(plan.steps):
            learns = number >= plan.before
            with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
                references = [known[n] for n in step.references]
                distances = [plan.times[n] - plan.times[step.frame] for n in step.references]
                estimator = RateEstimator(noise=self.training and not self._as_encoder)
                coder = LeastCost(estimator) if self._as_encoder else estimator
                vectors = RateEstimator(noise=False)
                frame, quality = frames[step.frame], qualities[step.frame]
                motion = codec.code_motion(vectors, frame, references, distances, quality)
                coded: Coded = codec.code_frame(coder, frame, motion, references, distances, quality)
                known[step.frame] = (coded.reference, prepare(coded.reference.planes))
            if learns:
                errors.append(weighted_error(frame, coded.planes))
                bits.append(torch.as_tensor(estimator.bits))
                vector_bits.append(torch.as_tensor(vectors.bits))
        return torch.stack(errors), torch.stack(bits), torch.stack(vector_bits)


class VideoObjective(Objective[VideoNetwork, Clips]):
    """Trains the codec of clips; qualities are drawn anew for each crop, coarser at deeper levels of a pyramid."""

    settings_type: ClassVar[type[Any]] = VideoSettings
    data_type: ClassVar[type[DataSettings]] = ClipSettings
    settings: VideoSettings

    def __init__(self, codec: VideoNetwork, settings: VideoSettings, source: Clips, workers: Workers) -> None:
        """See `Objective`."""
        if not isinstance(codec, VideoNetwork):
            raise InputError(f"{type(codec).__name__} is no codec of clips with motion; video cannot train it")
        super().__init__(codec, settings, source, workers)
        self._random = np.random.default_rng(int(torch.randint(2**31, (1,))))
        self._steps = Steps(codec, settings, settings.stages)

    @classmethod
    def open_source(
        cls, data: Any, folders: Sequence[Path], shares: Sequence[float], seed: int, budget: Budget, workers: Workers
    ) -> Clips:
        """See `Objective.open_source`."""
        return Clips(folders, data, seed, budget, workers)

    @cached_property
    def _network(self) -> nn.Module:
        return self.workers.wrap(_Sequence(self.codec))

    @cached_property
    def _intra(self) -> LatentCodec:
        codec = load_codec(find_model(bytes.fromhex(self.codec.config.intra)), self.workers.device)
        if not isinstance(codec, LatentCodec):
            raise InputError(f"{self.codec.config.intra}: no picture codec with latents; name another one as intra")
        return codec

    def start(self, *, initialised: bool) -> None:
        """See `Objective.start`."""
        codec = self.codec
        if not initialised:
            self.workers.say("starting from differences of frames and what their references predict")
            (differences,) = self._looked_at(lambda *drawn: (codec.differences(*drawn),))
            start_from(codec, differences)
        elif codec.lacking():
            self.workers.say(f"starting {codec.lacking()} more latents from what the others leave out")
            differences, errors = self._looked_at(
                lambda frame, first, quality: codec.left_out(frame, first, quality.clamp(min=START_QUALITY))
            )
            start_rest(codec, differences, errors)

    def _looked_at(self, look: Callable[[Planes, Planes, Tensor], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """What there is to see in frames, each with what is decoded of the first and its quality, put together."""
        stage, found, count = self.settings.stages[0], list[tuple[Tensor, ...]](), 0
        while count < self.settings.start_blocks:
            _, frames, first, _, qualities = self._drawn(stage)
            found.append(look(frames[1], first, qualities[1]))
            count += len(found[-1][0])
        return tuple(torch.cat(each) for each in zip(*found, strict=True))

    def _drawn(self, stage: VideoStage) -> tuple[Plan, list[Planes], Planes, bool, list[Tensor]]:
        """A batch of sequences: plan, frames, what is decoded of the first, whether as a picture, and qualities."""
        random, settings = self._random, self.settings
        if random.random() < settings.pyramid_share:
            span = int(random.choice((2, 4, 8), p=(0.2, 0.4, 0.4)))
            plan = pyramid(stage.frames, span, settings.level_step, random, stage.anchors_before)
        else:
            plan = chain(stage.frames, int(random.choice((1, 2), p=(0.8, 0.2))), random, stage.before)
        frames = self.source.sequence(stage.batch, stage.crop, plan.times)
        base = drawn_qualities(stage.batch)[torch.from_numpy(random.permutation(stage.batch))]
        qualities = []
        for bonus in plan.bonuses:
            wander = torch.from_numpy(random.normal(0, SPREAD, stage.batch)).round().to(torch.int64)
            own = base + bonus + wander
            qualities.append(own.clamp(0, QUALITY_STEPS).to(self.workers.device))
        first, intra = self._first(frames[0], qualities[0])
        return plan, frames, first, intra, qualities

    @torch.no_grad()
    def _first(self, frame: Planes, quality: Tensor) -> tuple[Planes, bool]:
        kind = self._random.random()
        if kind < 0.1:
            return to_codes(frame), True
        if kind < 0.2:
            noise = 0.02 * float(self._random.random())
            return to_codes(Planes(*(p + noise * torch.randn_like(p) for p in frame.each()))), False
        return self.codec.coded_as_picture(self._intra, frame, quality), True

    def step(self, share: float) -> dict[str, Tensor]:
        """See `Objective.step`."""
        self._steps.share = share
        stage = self._steps.stage
        plan, frames, first, intra, qualities = self._drawn(stage)
        errors, bits, vector_bits = self._network(frames, first, intra, plan, qualities)
        weights = torch.stack([self.codec.rate_weight(qualities[step.frame]) for step in plan.learned])
        bpp, vector_bpp = bits / stage.crop**2, vector_bits / stage.crop**2
        costs = weights * 255**2 * errors + bpp + vector_bpp
        losses = (sample_weight(weights, self.settings.lambda_power) * costs).mean(0)
        loss = (cost_weight(losses, self.settings.cost_power) * losses).mean()
        norm = self._steps.take(loss)
        psnr = -10 * torch.log10(errors.detach().clamp(min=1e-10)).mean()
        numbers = {"loss": losses.mean(), "bpp": bpp.mean(), "vectors": vector_bpp.mean(), "psnr": psnr, "norm": norm}
        return {name: value.detach() for name, value in numbers.items()}

    def end_share(self) -> float:
        """See `Objective.end_share`."""
        return self.settings.scale_share

    def finish(self, budget: Budget) -> VideoNetwork:
        """See `Objective.finish`."""
        codec = self._steps.averaged()
        if self.settings.scale_share:
            steps = self._fit_integers(codec, budget)
            self.workers.say(f"fitted the integer networks in {steps} steps")
        return codec

    def _fit_integers(self, codec: VideoNetwork, budget: Budget) -> int:
        """Train the integer networks, and nothing else, on the symbols that an encoder picks; see `learn_scales`."""
        trained = codec.integer_parameters()
        for parameter in codec.parameters():
            parameter.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)
        sequence = _Sequence(codec, as_encoder=True).train()
        fit = Fit(trained, rate=FIT_RATE, warmup_steps=FIT_WARMUP, decay=FIT_DECAY)
        stage = self.settings.stages[-1]
        for _ in fit.steps(budget):
            plan, frames, first, intra, qualities = self._drawn(stage)
            _, bits, vector_bits = sequence(frames, first, intra, plan, qualities)
            weights = torch.stack([codec.rate_weight(qualities[step.frame]) for step in plan.learned])
            loss = sample_weight(weights, self.settings.lambda_power) * (bits + vector_bits) / stage.crop**2
            fit.take(loss.mean())
        fit.finish()
        for parameter in codec.parameters():
            parameter.requires_grad_(True)
        codec.to_integers()
        codec.eval()
        return budget.steps

    @torch.no_grad()
    def preview(self, finished: VideoNetwork | None) -> list[dict[str, float]]:
        """See `Objective.preview`: groups of held-out clips as encoders code them, first frames not counted."""
        codec = finished or self._steps.averaged()
        plan = whole_pyramid(PREVIEW_GROUP, self.settings.level_step)
        sequence = _Sequence(codec, as_encoder=True).eval()
        rows: dict[int, list[tuple[float, float]]] = {quality: [] for quality in PREVIEW_QUALITIES}
        for frames in islice(self.source.held_out_groups(PREVIEW_GROUP + 1, PREVIEW_SIDE), PREVIEW_CLIPS):
            pixels = frames[0].y.shape[2] * frames[0].y.shape[3]
            for quality in PREVIEW_QUALITIES:
                qualities = [
                    torch.tensor([max(0, 2 * quality + bonus)], device=self.workers.device) for bonus in plan.bonuses
                ]
                first = codec.coded_as_picture(self._intra, frames[0], qualities[0])
                errors, bits, vector_bits = sequence(frames, first, True, plan, qualities)
                psnr = float((-10 * torch.log10(errors.clamp(min=1e-10))).mean())
                rows[quality].append((float((bits + vector_bits).mean()) / pixels, psnr))
        return [
            {
                "quality": q,
                "bpp": sum(b for b, _ in found) / len(found),
                "psnr": sum(p for _, p in found) / len(found),
            }
            for q, found in rows.items()
            if found
        ]

    def state_dict(self) -> dict[str, Any]:
        """See `Objective.state_dict`."""
        return self._steps.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Objective.load_state_dict`."""
        self._steps.load_state_dict(state)
