"""The seam: what a codec family is. See docs/adding-a-family.md.

`Codec` is what weight files, training and the model's folder need of every family; `PictureCodec` and `ClipCodec`
(nicodec/codecs/clip.py) add how it encodes and decodes, `LatentCodec` (nicodec/codecs/latent.py) the one traversal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nicodec.codecs.options import Options
from nicodec.codecs.window import PixelSource, Window
from nicodec.entropy.coder import Stream
from nicodec.errors import QualityError
from nicodec.exact.module import ExactModule
from nicodec.layers.module import Layer


class Medium(StrEnum):
    """What a family codes."""

    PICTURE = "picture"
    CLIP = "clip"


class Packets(StrEnum):
    """What the packets of a picture are: which of them are worth decoding.

    LEVEL: coarse to fine, each refines those before. PIECE: decodable by itself. PART: all are needed, in order.
    """

    LEVEL = "level"
    PIECE = "piece"
    PART = "part"


@dataclass(frozen=True)
class Progress:
    """How far a long encode is.

    Attributes:
        share: that is done, 0..1; 1 is told once, at the end.
        text: what there is to say, a few words.
        preview: draws the picture as it is, (3, H, W) in [0, 1]; None where there is nothing to see.

    """

    share: float
    text: str
    preview: Callable[[], Tensor] | None = None


Watch = Callable[[Progress], None]
"""Told of an encode's progress."""


class Codec(nn.Module, ABC):
    """A codec family: a network, and everything in which families differ.

    A subclass sets the class attributes and is named by an entry point of the group `nicodec.codecs`.

    Attributes:
        medium: what it codes.
        Config: frozen dataclass of its network's sizes; the instance is `config`.
        Options: what its encoder can be asked for.
        needs_weights: False for a family whose files explain themselves.

    """

    medium: ClassVar[Medium]
    Config: ClassVar[type[Any]]
    Options: ClassVar[type[Options]] = Options
    needs_weights: ClassVar[bool] = True
    config: Any

    def borrowed(self) -> tuple[str, ...]:
        """Fingerprints of further models that it works with; whoever loads it hands them over."""
        return ()

    def borrow(self, fingerprint: str, codec: Codec) -> None:
        """Take one of the models that `borrowed` names; it is not saved with this one.

        Raises:
            ValueError: it cannot be used.

        """
        raise ValueError(f"{type(self).__name__} works with no other model")

    def exact_modules(self) -> dict[str, ExactModule]:
        """Modules that have integers beside their trainable parameters, by name."""
        return {name: module for name, module in self.named_modules() if isinstance(module, ExactModule)}

    def to_integers(self) -> None:
        """Derive all integer tables and weights from the trained parameters."""
        for module in self.exact_modules().values():
            module.to_integers()

    def integer_parameters(self) -> list[nn.Parameter]:
        """What `to_integers` derives integers from."""
        return [parameter for module in self.exact_modules().values() for parameter in module.parameters()]

    def exported(self) -> dict[str, Tensor]:
        """What a weight file holds: float16, and of exact modules the integers alone.

        Layers that may run in bfloat16 (neither they nor what holds them say `float32`) have values that bfloat16
        has, too: a decoder that runs them in float32 gives nearly the same pixels then (rule 6 of the numbers
        contract), and training in bfloat16 saw no others.
        """
        self.to_integers()
        trainable = self._trainable_of_exact()
        state = {k: v.detach().cpu() for k, v in self.state_dict().items() if k not in trainable}
        float32 = tuple(f"{n}." for n, m in self.named_modules() if isinstance(m, Layer) and m.float32)
        for name in state:
            if name.endswith((".weight", ".bias")) and not name.startswith(float32):
                state[name] = state[name].to(torch.bfloat16)
        return {k: (v.to(torch.float16) if v.is_floating_point() else v).contiguous() for k, v in state.items()}

    def load_exported(self, tensors: dict[str, Tensor]) -> None:
        """Take what `exported` gave; training can go on from there.

        Raises:
            ValueError: a tensor is missing, or has another shape.

        """
        state = self.state_dict()
        try:
            missing = self.load_state_dict({k: v.to(state[k].dtype) for k, v in tensors.items()}, strict=False)
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"weights do not fit the network: {' '.join(str(error).split())}") from error
        lost = set(missing.missing_keys) - self._trainable_of_exact()
        if lost:
            raise ValueError(f"weights are missing: {sorted(lost)}")
        for module in self.exact_modules().values():
            module.from_integers()

    def load_initial(self, tensors: dict[str, Tensor]) -> None:
        """The same, as a training's start: a family may take weights of a smaller network."""
        self.load_exported(tensors)

    def _trainable_of_exact(self) -> set[str]:
        return {f"{n}.{k}" for n, m in self.exact_modules().items() for k, _ in m.named_parameters()}


class PictureCodec(Codec):
    """A family of pictures: float32 (B, 3, H, W) in [0, 1] in and out, a batch at once.

    Attributes:
        alignment: sides of what it is given are multiples of this many pixels.
        packets: what the packets are that a picture has in place of one stream; None: it has one stream. One piece
            that is the whole picture is written as one stream.
        pixels_a_byte: most pixels that a byte of a stream (of levels, the first) can stand for; a file that claims
            more is refused. 0: not bounded.

    """

    medium = Medium.PICTURE
    alignment: ClassVar[int] = 1
    packets: ClassVar[Packets | None] = None
    pixels_a_byte: ClassVar[int] = 0

    @abstractmethod
    def encode(
        self, x: Tensor, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> list[tuple[Stream, ...]]:
        """Encode pictures.

        Args:
            x: (B, 3, H, W).
            quality: int64 (B,), half steps 0..200.
            options: an instance of the class's `Options`.
            watch: told how a long encode goes.

        Returns:
            Of each picture its stream, or its packets' streams.

        """

    def encode_parts(
        self, source: PixelSource, quality: Tensor, options: Any, watch: Watch | None = None
    ) -> tuple[Stream, ...]:
        """Like `encode`, of one picture whose pixels are asked for part by part; `quality` is (1,).

        A family that does not care gets all of them at once.
        """
        (streams,) = self.encode(source.whole(), quality, options, watch)
        return streams

    @abstractmethod
    def decode(self, streams: Sequence[tuple[Stream, ...]], size: tuple[int, int], quality: Tensor) -> Tensor:
        """Decode pictures of one size.

        Args:
            streams: of each picture, as `encode` gave them; where the family writes packets, those at the end may
                be missing.
            size: H, W, multiples of `alignment`.
            quality: int64 (B,), half steps.

        Returns:
            (B, 3, H, W), about 0..1 and not clamped.

        Raises:
            SymbolMismatchError: the symbols read are not the symbols written.

        """

    def decode_parts(
        self, streams: Sequence[Stream | None], size: tuple[int, int], quality: Tensor, window: Window
    ) -> Iterator[tuple[Window, Tensor | None]]:
        """Like `decode`, of a window of one picture, part by part.

        Args:
            streams: its packets' streams; of pieces, None for those that are lost.
            size: H, W, multiples of `alignment`.
            quality: int64 (1,), half steps.
            window: what is wanted of it.

        Yields:
            Parts that together are the window, each with its pixels (3, h, w), about 0..1 and not clamped; None: they
            are lost.

        Raises:
            SymbolMismatchError: the symbols read are not the symbols written.
            CorruptError: there are more or fewer pieces than a picture of this size has.

        """
        whole = tuple(stream for stream in streams if stream is not None)
        yield window, window.of(self.decode([whole], size, quality)[0])

    def repair(self, streams: Sequence[Stream | None], size: tuple[int, int], quality: int) -> tuple[Tensor, float]:
        """Decode what is left of one picture in pieces that decode by themselves, and fill in the rest.

        Args:
            streams: of all packets, in their order; None for those that are lost.
            size: H, W, multiples of `alignment`.
            quality: half steps.

        Returns:
            (1, 3, H, W), as `decode` gives it, and the share of it that was filled in, 0..1.

        Raises:
            SymbolMismatchError: the symbols read are not the symbols written.
            QualityError: the family has no such pieces.

        """
        raise QualityError("files of this codec cannot be repaired; --partial (partial=True) shows what is whole")

    def draw(
        self,
        streams: Sequence[tuple[Stream, ...]],
        size: tuple[int, int],
        quality: Tensor,
        draw_size: tuple[int, int],
    ) -> Tensor:
        """Like `decode`, drawn at `draw_size` (H, W): for families without pixels of their own.

        Raises:
            QualityError: the family has pixels.

        """
        raise QualityError("pictures of this codec have one size; decompress it, then scale it with another tool")
