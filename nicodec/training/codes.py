"""The objective of codes of codebooks: distortion, over all of the quality range at once, and the indices' prior."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.codecs.codes import CodesCodec
from nicodec.codecs.codes_network import CodeNetwork, Level
from nicodec.errors import InputError
from nicodec.exact.anchors import QUALITY_STEPS
from nicodec.perceptual.discriminator import PatchDiscriminator, augmented, hinge
from nicodec.perceptual.distances import added_detail, feature_distance, wasserstein_distortion
from nicodec.perceptual.networks import FeatureNetwork, NoNetworkError, vgg16
from nicodec.quantize.base import to_rows
from nicodec.training.bounds import set_bounds
from nicodec.training.budget import Budget
from nicodec.training.codebook_rules import CodebookRules
from nicodec.training.data import Pictures, PictureSettings
from nicodec.training.index_prior import counted, fit_prior, prior_bits
from nicodec.training.loss import drawn_qualities
from nicodec.training.objective import DataSettings, Objective
from nicodec.training.preview import preview_pictures
from nicodec.training.rate_distortion import Stage
from nicodec.training.settings import setting
from nicodec.training.steps import Steps, check_stages
from nicodec.training.workers import Workers
from nicodec.zoo import find_model, load_codec

START_BATCH = 16
"""Crops at a time, of those that codebooks start from."""

LATENT_UNIT = 16.0 * 768
"""Squared error of a block's latents for one of its pixels' mean: pixels are scaled by 4, and a block has 768."""

PREVIEWED = (0, 20, 40, 80, 120, 200)
"""Half steps of quality that are looked at."""

BOUND_CROPS = 120
"""From which bounds of residual blocks are set when training goes on from weights."""

SHIFTED = 16
"""Pixels of a crop's sides that a random part of it leaves out, which is compared by features: no phase of the
decoder's squares meets the same phase of a feature network's pooling at every step."""


@dataclass(frozen=True)
class CodesStage(Stage):
    """A part of the training; what it does not weigh is not computed."""

    feature_weight: float = setting(0.0, help="Of the distance of VGG16's features.", least=0)
    wasserstein_weight: float = setting(0.0, help="Of the Wasserstein distortion of the same features.", least=0)
    feature_crops: int = setting(2, help="Crops of a step that are compared by features: they cost most.", least=1)
    flat_weight: float = setting(0.0, help="Of detail that flat parts of the picture have not.", least=0)
    adversarial_weight: float = setting(0.0, help="Of the discriminator of patches.", least=0, most=0.2)
    decoder_only: bool = setting(False, help="Whether files stay as they are: codes, prior and encoder rest.")

    @property
    def compares_features(self) -> bool:
        """Whether VGG16 is needed."""
        return self.feature_weight > 0 or self.wasserstein_weight > 0


@dataclass(frozen=True)
class CodesSettings:
    """The [objective] table."""

    transforms: str = setting("", help="A model with such transforms to start from; none: principal components.")
    start_blocks: int = setting(60_000, help="16x16 blocks for those components.", least=1000)
    lowest: int = setting(0, help="Half steps of that model's quality that quality 0 begins as.", least=0, most=200)
    highest: int = setting(60, help="The same of quality 100.", least=0, most=200)
    start_crops: int = setting(600, help="That bases and codebooks start from.", least=1)
    start_crop: int = setting(256, help="Their side in pixels.", least=64)
    stages: tuple[CodesStage, ...] = setting((CodesStage(),), help="One after another.")
    learning_rate: float = setting(5e-4, help="AdamW's.", least=0)
    muon_learning_rate: float = setting(0.0, help="Muon's, on matrices of 1x1 layers; 0: AdamW there too.", least=0)
    prior_rate: float = setting(1e-3, help="The same, of the indices' prior.", least=0)
    warmup_steps: int = setting(100, help="In which the rate rises from nothing.", least=0)
    decay_from: float = setting(0.4, help="Share of the training from which the rate falls.", least=0, most=0.99)
    gradient_clip: float = setting(1.0, help="Largest norm of the gradient.", least=1e-6)
    ema: float = setting(0.998, help="Decay of the average of the weights.", least=0, most=1)
    commitment: float = setting(0.25, help="What the error of the codes counts beside the picture's.", least=0)
    quantizer: Mapping[str, Any] | None = setting(
        None, help="Of the family, a table of its name and settings, that teaches the codebooks; none: `priced.py`."
    )
    discriminator_rate: float = setting(4e-4, help="AdamW's, of the discriminator.", least=0)
    discriminator_warmup: float = setting(
        0.25, help="Share of the stages with a discriminator in which it learns before it counts.", least=0, most=0.9
    )
    prefix_share: float = setting(
        0.0, help="Share of crops that are made of a random first part of the packets.", least=0, most=1
    )
    lost_share: float = setting(
        0.25, help="Share of steps whose prior knows a random part, as of a damaged file.", least=0, most=1
    )

    bound_share: float = setting(
        0.01, help="Share of the budget for the bounds of residual blocks.", least=0, most=0.4
    )
    prior_share: float = setting(
        0.1, help="Share of it for fitting the indices' prior to what is sent.", least=0, most=0.5
    )
    prior_crop: int = setting(256, help="Side in pixels of the crops that it is fitted to.", least=64)
    prior_fit_rate: float = setting(2e-3, help="AdamW's, of that fit.", least=0)

    def __post_init__(self) -> None:
        check_stages(self.stages)
        if self.quantizer is not None and not isinstance(self.quantizer, Mapping):
            raise ValueError(f'quantizer is {self.quantizer!r}; give a table, such as {{ name = "gumbel" }}')

    def discriminated_from(self) -> float:
        """The share of the training from which the discriminator counts; 1 where there is none."""
        starts = [0.0, *(stage.until for stage in self.stages)]
        of_stages = zip(starts, self.stages, strict=False)
        spans = [(start, stage.until) for start, stage in of_stages if stage.adversarial_weight]
        if not spans:
            return 1.0
        first, last = spans[0][0], spans[-1][1]
        return first + self.discriminator_warmup * (last - first)


class _Learner(nn.Module):
    """What workers share the gradients of."""

    def __init__(
        self, network: CodeNetwork, lost_share: float, prefix_share: float, rules: CodebookRules | None = None
    ) -> None:
        super().__init__()
        self.network, self._lost_share, self._prefix_share, self.rules = network, lost_share, prefix_share, rules

    def forward(
        self, x: Tensor, quality: Tensor, decoder_only: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures, the codes' squared error a pixel (B,), the bits of the indices (B,), and the quantisers' loss.

        The bits are those of the prior; the loss, of the rules of codebooks, is a squared error a pixel as well.

        Args:
            x: (B, 3, H, W), sides multiples of 64.
            quality: (B,) half steps, rising.
            decoder_only: nothing but what makes pictures of codes learns; the other results are zero.

        """
        network, config = self.network, self.network.config
        if decoder_only:
            none = torch.zeros(len(x), device=x.device)
            return network.synthesise(_sent(network, x, quality), quality), none, none, none.sum()
        y = network.analyse(x, quality)
        qualities = quality.tolist()
        shown = torch.tensor([self._shown(half_steps) for half_steps in qualities], device=x.device)
        total, left = torch.zeros_like(y), y
        bits, ruled = torch.zeros(len(x), device=x.device), torch.zeros((), device=x.device)
        indices: list[Tensor] = []
        for number, level in enumerate(network.each_level()):
            reach = torch.tensor([config.levels(half_steps) > number for half_steps in qualities], device=x.device)
            first = min(int((~reach).sum()), len(x) - 1)  # one sees it at least: workers wait for each other here
            own, reached = slice(first, None), reach[first:]
            features = level.features(left[own])
            if self.rules is None:
                chosen = level.choose(features, qualities[own], config)
                values = level.values(chosen)
                level.quantiser.see(to_rows(features), chosen.flatten())
            else:
                values, chosen, loss = self.rules.quantise(number, features)
                ruled = ruled + loss * (level.quantiser.channels / level.factor**2 / LATENT_UNIT)
            found = level.latents(values)
            seen = found * (shown[own] > number)[:, None, None, None]
            total = total + F.pad(seen, (0, 0, 0, 0, 0, 0, first, 0))
            taken = found.detach() if self.rules is None else found  # with rules the gradient is the codes' own
            left = left - F.pad(taken, (0, 0, 0, 0, 0, 0, first, 0))
            level.frequencies.note(counted(level, chosen[reached], quality[own][reached].tolist()))
            indices = [each[len(each) - len(chosen) :] for each in indices]
            cost = prior_bits(network, level, chosen, indices, quality[own], self._lost_share)
            bits = bits + F.pad(cost * reached, (first, 0))
            indices.append(chosen)
        if self.rules is None:
            slope = _held(y, network.each_level())
            total = total + (slope - slope.detach())
        left_over = left.square().sum(1).mean((1, 2)) / LATENT_UNIT
        return network.synthesise(total, quality), left_over, bits, ruled

    def _shown(self, half_steps: int) -> int:
        """How many levels the picture is made of: now and then those of a file that is cut short."""
        ends = self.network.config.ends(half_steps)
        return ends[int(torch.randint(len(ends), ()))] if torch.rand(()) < self._prefix_share else ends[-1]


@torch.no_grad()
def _coded(network: CodeNetwork, x: Tensor, quality: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) as they are decoded."""
    return network.synthesise(_sent(network, x, quality), quality)


@torch.no_grad()
def _sent(network: CodeNetwork, x: Tensor, quality: Tensor) -> Tensor:
    """Latents of pictures as a decoder has them."""
    y = network.analyse(x, quality)
    indices = [network.indices(one, q) for one, q in zip(torch.split(y, 1), quality.tolist(), strict=True)]
    return torch.cat([network.latents(own) for own in indices])


def _held(y: Tensor, levels: Iterable[Level]) -> Tensor:
    """What the bases of levels hold of latents: where their gradient goes."""
    left = y
    for level in levels:
        grouped = left if level.factor == 1 else F.pixel_unshuffle(left, level.factor)
        held = F.conv2d(F.conv2d(grouped, level.basis[:, :, None, None]), level.basis.T[:, :, None, None])
        left = left - (held if level.factor == 1 else F.pixel_shuffle(held, level.factor))
    return y - left


class CodesObjective(Objective[CodesCodec, Pictures]):
    """Trains transforms, codebooks and prior; qualities are drawn anew for each crop.

    A crop counts by the root of its mean squared error, so that neither low nor high qualities drown the others.
    """

    settings_type: ClassVar[type[Any]] = CodesSettings
    data_type: ClassVar[type[DataSettings]] = PictureSettings
    settings: CodesSettings

    def __init__(self, codec: CodesCodec, settings: CodesSettings, source: Pictures, workers: Workers) -> None:
        """See `Objective`."""
        if not isinstance(codec, CodesCodec):
            raise InputError(f"{type(codec).__name__} has no codebooks; codes cannot train it")
        super().__init__(codec, settings, source, workers)
        sides = (settings.start_crop, settings.prior_crop, *(stage.crop for stage in settings.stages))
        source.need_crops(sides, codec.alignment)
        prior = [p for level in codec.network.each_level() for p in level.context.parameters()]
        self._rules: CodebookRules | None = None
        if settings.quantizer is not None:
            self._rules = CodebookRules(list(codec.network.each_level()), settings.quantizer).to(workers.device)
        self._steps = Steps(
            codec, settings, settings.stages, apart=prior, rate_apart=settings.prior_rate, beside=self._rules
        )
        self._discriminator = PatchDiscriminator().to(workers.device)
        self._judge = torch.optim.AdamW(
            self._discriminator.parameters(), lr=settings.discriminator_rate, betas=(0.5, 0.9)
        )
        self._features: FeatureNetwork | None = None
        if any(stage.compares_features for stage in settings.stages):
            try:
                self._features = vgg16().to(workers.device)
            except NoNetworkError as error:
                raise InputError(f"a stage compares features, and {error}; or set their weights to 0") from error

    @classmethod
    def open_source(
        cls, data: Any, folders: Sequence[Path], shares: Sequence[float], seed: int, budget: Budget, workers: Workers
    ) -> Pictures:
        """See `Objective.open_source`."""
        return Pictures(folders, data, seed, budget, workers, shares)

    @cached_property
    def _network(self) -> nn.Module:
        settings = self.settings
        return self.workers.wrap(
            _Learner(self.codec.network, settings.lost_share, settings.prefix_share, self._rules)
        )

    @cached_property
    def _discriminating(self) -> nn.Module:
        """The discriminator as it is called when it learns."""
        return self.workers.wrap(self._discriminator)

    def start(self, *, initialised: bool) -> None:
        """See `Objective.start`."""
        network, settings = self.codec.network, self.settings
        if initialised:
            for level in network.each_level():
                level.quantiser.restart()
            self._set_bounds(self.codec, Budget(steps=BOUND_CROPS))
            self.codec.train()
            if all(level.basis.any() for level in network.each_level()):
                self._start_rules()
                return
        elif settings.transforms:
            other = load_codec(find_model(settings.transforms), self.workers.device)
            taken = network.take_transforms(other, settings.lowest, settings.highest)
            if not taken:
                raise InputError(f"transforms = {settings.transforms!r}: none of its tensors fits; name another")
            self.workers.say(f"took {taken} tensors of {settings.transforms}")
        else:
            network.start_transforms(self.source.blocks(settings.start_blocks, settings.start_crop))
        if not self.workers.leads:
            return  # the first worker's are handed out
        self.workers.say(f"starting codebooks from {settings.start_crops} crops")
        latents = []
        with torch.no_grad():
            for _ in range(-(-settings.start_crops // START_BATCH)):
                x = self.source.batch(START_BATCH, settings.start_crop)
                quality = torch.randint(QUALITY_STEPS + 1, (len(x),), device=x.device)
                latents.append(network.analyse(x, quality))
        network.start_levels(torch.cat(latents))
        self._start_rules()

    def _start_rules(self) -> None:
        if self._rules is not None:
            self._rules.start(list(self.codec.network.each_level()))

    def step(self, share: float) -> dict[str, Tensor]:
        """See `Objective.step`."""
        self._steps.share = share
        stage, device = self._steps.stage, self.workers.device
        x = self.source.batch(stage.batch, stage.crop)
        quality = drawn_qualities(stage.batch).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.workers.bfloat16):
            x_hat, error, bits, ruled = self._network(x, quality, stage.decoder_only)
        x_hat = x_hat.float()
        mse = (x - x_hat).square().mean((1, 2, 3))
        bpp = bits / (stage.crop * stage.crop)
        distortion = 10 * (mse + self.settings.commitment * error + 1e-7).sqrt().mean()
        slope = 5 / (mse.detach().mean() + 1e-7).sqrt()  # the distortion's: a rule's loss may be below zero
        perception = self._perception(x, x_hat, stage)
        norm = self._steps.take(distortion + slope * ruled + bpp.mean() + perception)
        levels = list(self.codec.network.each_level())
        if self._rules is not None and not stage.decoder_only:
            self._rules.after_step(levels)
        elif not stage.decoder_only:
            for level in levels:
                level.quantiser.after_step()
        psnr = -10 * torch.log10(mse.detach().clamp(min=1e-10)).mean()
        return {
            "bpp": bpp.detach().mean(),
            "psnr": psnr,
            "codes": error.detach().mean().sqrt() * 255,
            "perception": perception.detach(),
            "norm": norm,
        }

    def _perception(self, x: Tensor, x_hat: Tensor, stage: CodesStage) -> Tensor:
        """What the stage weighs beside the squared error; the discriminator learns here, too."""
        loss = x.new_zeros(())
        if stage.flat_weight:
            loss = loss + stage.flat_weight * added_detail(x, x_hat).mean()
        if self._features is not None and stage.compares_features:
            few = torch.randperm(len(x))[: stage.feature_crops]
            down, right = torch.randint(SHIFTED, (2,)).tolist()
            side = x.shape[2] - SHIFTED
            a, b = (each[few, :, down : down + side, right : right + side] for each in (x, x_hat.clamp(0, 1)))
            if stage.feature_weight:
                loss = loss + stage.feature_weight * feature_distance(self._features, a, b).mean()
            if stage.wasserstein_weight:
                loss = loss + stage.wasserstein_weight * wasserstein_distortion(self._features, a, b).mean()
        if stage.adversarial_weight:
            real, fake = augmented(x, x_hat)
            self._judge.zero_grad(set_to_none=True)
            seen = self._discriminating(torch.cat([real, fake.detach()]))
            hinge(*seen.chunk(2)).backward()  # type: ignore[no-untyped-call]
            self._judge.step()
            if self._steps.share >= self.settings.discriminated_from():
                self._discriminator.requires_grad_(False)
                loss = loss - stage.adversarial_weight * self._discriminator(fake).mean()
                self._discriminator.requires_grad_(True)
        return loss

    def end_share(self) -> float:
        """See `Objective.end_share`."""
        return self.settings.bound_share + self.settings.prior_share

    def finish(self, budget: Budget) -> CodesCodec:
        """See `Objective.finish`."""
        settings, codec, whole = self.settings, self._steps.averaged(), max(self.end_share(), 1e-9)
        last = settings.stages[-1]
        if settings.bound_share:
            self._set_bounds(codec, budget.part(settings.bound_share / whole))
        if settings.prior_share:
            steps = fit_prior(
                codec,
                self.source,
                budget.part(settings.prior_share / whole),
                batch=last.batch,
                crop=settings.prior_crop,
                rate=settings.prior_fit_rate,
                lost_share=settings.lost_share,
            )
            self.workers.say(f"fitted the prior of the indices in {steps} steps")
        codec.to_integers()
        return codec.eval()

    def _set_bounds(self, codec: CodesCodec, budget: Budget) -> None:
        codec.eval()
        set_bounds(codec, partial(_coded, codec.network), self.source, budget, self.settings.stages[-1].crop)

    @torch.no_grad()
    def preview(self, finished: CodesCodec | None) -> list[dict[str, float]]:
        """Real streams of held-out pictures: means of bpp and of the PSNR in dB."""
        codec = finished or self._steps.averaged()
        rows: dict[int, list[tuple[float, float]]] = {half_steps: [] for half_steps in PREVIEWED}
        for x in preview_pictures(self.source.held_out, codec.alignment):
            x = x.to(self.workers.device)
            for half_steps in PREVIEWED:
                quality, size = torch.tensor([half_steps], device=x.device), (x.shape[2], x.shape[3])
                streams = codec.encode(x, quality, codec.Options())
                pixels = (codec.decode(streams, size, quality).float().clamp(0, 1) * 255).round() / 255
                psnr = -10 * torch.log10((pixels - x).square().mean().clamp(min=1e-10))
                bits = 8 * sum(len(stream.data) for stream in streams[0])
                rows[half_steps].append((bits / (size[0] * size[1]), float(psnr)))
        if not rows[PREVIEWED[0]]:
            return []
        means = {half_steps: torch.tensor(found).mean(0).tolist() for half_steps, found in rows.items()}
        return [{"quality": q / 2, "bpp": bpp, "psnr": psnr} for q, (bpp, psnr) in means.items()]

    def state_dict(self) -> dict[str, Any]:
        """See `Objective.state_dict`."""
        return {
            **self._steps.state_dict(),
            "discriminator": self._discriminator.state_dict(),
            "judge": self._judge.state_dict(),
            "shares": [level.frequencies.shares for level in self.codec.network.each_level()],
            "rules": None if self._rules is None else self._rules.kept(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Objective.load_state_dict`."""
        self._steps.load_state_dict(state)
        for level, shares in zip(self.codec.network.each_level(), state["shares"], strict=True):
            level.frequencies.shares.copy_(shares)
            level.quantiser.restart()
        if self._rules is not None:
            self._rules.restore(state["rules"])
        self._discriminator.load_state_dict(state["discriminator"])
        self._judge.load_state_dict(state["judge"])
