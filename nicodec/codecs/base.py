"""What every codec is: a network and one traversal of its latents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nicodec.entropy.coder import Coder, LeastCost, RateEstimator, StreamDecoder, StreamEncoder
from nicodec.errors import QualityError
from nicodec.refinement import Replay, refine

EFFORT_DEFAULT, EFFORT_MAX = 7, 9
EFFORT_THOROUGH = 4
"""From this effort on the encoder rounds to symbols of least cost, and fits a filter to the decoded picture."""

REFINEMENT = {8: 50, EFFORT_MAX: 100}
"""Steps in which an encoder refines its symbols, by effort; the decoder does not notice."""


class Codec(nn.Module, ABC):
    """A network with one traversal, `code_latents`; loss, encoder and decoder follow from it.

    Pictures are float32 (B, 3, H, W) in [0, 1] with sides that are multiples of `alignment`.
    """

    configuration: type[Any]
    """A frozen dataclass: the network's sizes."""

    config: Any
    """One of it."""

    def __init__(self, config: Any = None) -> None:
        super().__init__()

    alignment: int
    """Sides must be multiples of this many pixels."""

    resizable = False
    """Whether `decode` takes a size to draw at."""

    fits = False
    """Whether encoding is a fit of seconds or minutes."""

    def is_slow(self, *, effort: int = EFFORT_DEFAULT, **_: object) -> bool:
        """Whether `encode` with these arguments takes so long that a search should try few qualities."""
        return self.fits or effort in REFINEMENT

    @abstractmethod
    def code_latents(self, coder: Coder, x: Tensor | None, size: tuple[int, int], quality: Tensor) -> Tensor:
        """Hand every symbol to `coder`, in the order of the stream.

        Args:
            coder: what is done with the symbols.
            x: pictures (B, 3, H, W) when encoding or training, None when decoding.
            size: H, W.
            quality: int64 (B,), half steps 0..200.

        Returns:
            The latents that `synthesise` takes.

        """

    @abstractmethod
    def synthesise(self, latents: Tensor, quality: Tensor, matrix: Tensor | None = None) -> Tensor:
        """Pictures (B, 3, H, W), about 0..1 and not clamped, from what `code_latents` and `code_filter` returned."""

    def code_filter(
        self, coder: Coder, x: Tensor | None, latents: Tensor, quality: Tensor, *, fit: bool = True
    ) -> Tensor | None:
        """Hand to `coder`, last of all, what the encoder has fitted to the decoded picture; see `AdaptiveFilter`.

        It is no part of the training, in which a codec has no such filter, nor of the refinement.

        Args:
            coder: what is done with the symbols; not one that estimates with noise.
            x: one picture (1, 3, H, W) when encoding, None when decoding.
            latents: what `code_latents` returned.
            quality: int64 (1,), half steps 0..200.
            fit: whether the encoder looks for a filter; if not, it writes that there is none.

        Returns:
            The filter's matrix; None: there is nothing to filter.

        """
        return None

    def to_integers(self) -> None:
        """Derive all integer tables and weights from the trained parameters."""
        for module in self._exact_modules().values():
            module.to_integers()

    def integer_parameters(self) -> list[nn.Parameter]:
        """What `to_integers` derives integers from."""
        return [parameter for module in self._exact_modules().values() for parameter in module.parameters()]

    def _exact_modules(self) -> dict[str, Any]:
        """Modules that have integers beside their trainable parameters, by name."""
        return {n: m for n, m in self.named_modules() if n and hasattr(m, "to_integers")}

    def exported(self) -> dict[str, Tensor]:
        """What a weight file holds: float16, and of exact modules the integers alone.

        Layers that may run in bfloat16 (neither they nor what holds them say `float32`) have values that bfloat16
        has, too: a decoder that runs them in float32 gives nearly the same pixels then (rule 6 of the numbers
        contract), and training in bfloat16 saw no others.
        """
        self.to_integers()
        trainable = {f"{n}.{k}" for n, m in self._exact_modules().items() for k, _ in m.named_parameters()}
        state = {k: v.detach().cpu() for k, v in self.state_dict().items() if k not in trainable}
        float32 = tuple(f"{n}." for n, m in self.named_modules() if getattr(m, "float32", False))
        for name in state:
            if name.endswith((".weight", ".bias")) and not name.startswith(float32):
                state[name] = state[name].to(torch.bfloat16)
        return {k: (v.to(torch.float16) if v.is_floating_point() else v).contiguous() for k, v in state.items()}

    def load_exported(self, tensors: dict[str, Tensor]) -> None:
        """Take what `exported` gave; training can go on from there."""
        state = self.state_dict()
        missing = self.load_state_dict({k: v.to(state[k].dtype) for k, v in tensors.items()}, strict=False)
        trainable = {f"{n}.{k}" for n, m in self._exact_modules().items() for k, _ in m.named_parameters()}
        if set(missing.missing_keys) - trainable:
            raise ValueError(f"weights are missing: {sorted(set(missing.missing_keys) - trainable)}")
        for module in self._exact_modules().values():
            module.from_integers()

    def forward(self, x: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction (B, 3, H, W) and the estimated bits (B,) for training."""
        coder = RateEstimator(noise=self.training)
        latents = self.code_latents(coder, x, (x.shape[2], x.shape[3]), quality)
        return self.synthesise(latents, quality), coder.bits

    def encode(
        self,
        x: Tensor,
        quality: Tensor,
        *,
        effort: int = EFFORT_DEFAULT,
        report: Callable[[float], None] | None = None,
    ) -> tuple[bytes, int]:
        """Return the stream of one picture (1, 3, H, W) and the checksum of its symbols.

        Args:
            x: the picture.
            quality: (1,), half steps 0..200.
            effort: 1 to 9; below 4 symbols are the nearest and no filter is fitted, at 8 and 9 symbols are refined.
            report: told the share that is done, up to 1, while they are.

        Raises:
            QualityError: there is no such effort.

        """
        if effort not in range(1, EFFORT_MAX + 1):
            raise QualityError(f"effort {effort!r}: give a whole number from 1 to {EFFORT_MAX}")
        coder, size, steps = StreamEncoder(), (x.shape[2], x.shape[3]), REFINEMENT.get(effort, 0)
        if steps:
            symbols = refine(self, x, quality, steps, report)
            latents = self.code_latents(Replay(coder, symbols), None, size, quality)
        else:
            thorough = effort >= EFFORT_THOROUGH
            latents = self.code_latents(LeastCost(coder) if thorough else coder, x, size, quality)
        self.code_filter(coder, x, latents, quality, fit=effort >= EFFORT_THOROUGH)
        return coder.finish()

    def decode(self, stream: bytes, checksum: int, size: tuple[int, int], quality: Tensor) -> Tensor:
        """Return the picture (1, 3, H, W) that `encode` wrote.

        Raises:
            SymbolMismatchError: the symbols read are not the symbols written.

        """
        coder = StreamDecoder(stream)
        latents = self.code_latents(coder, None, size, quality)
        matrix = self.code_filter(coder, None, latents, quality)
        coder.finish(checksum)
        return self.synthesise(latents, quality, matrix)

    # --- training (hooks of LatentCodec; begin) ---

    def rate_weight(self, quality: Tensor) -> Tensor:
        """λ of L = λ·255²·MSE + bpp, (B,), for quality (B,) in half steps."""
        weight: Tensor = self.config.rate_weight(quality)
        return weight

    def start_from(self, blocks: Tensor) -> None:
        """Set an untrained codec up from blocks of training pictures; unless a codec does more, nothing is done.

        Args:
            blocks: (N, 3, 16, 16) float32 in [0, 1], tens of thousands.

        """

    def finish_training(self, decoded: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Fit what a codec fits to decoded pictures at the end of its training; unless a codec does, nothing is done.

        Args:
            decoded: training pictures (1, 3, H, W), what is decoded of each, not clamped, and its quality (1,) in
                half steps; they are decoded as they are asked for, until the budget is spent.

        """

    # --- training (hooks of LatentCodec; end) ---


LatentCodec = Codec  # until they are two classes
