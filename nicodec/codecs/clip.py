"""Codecs of clips: a frame and a state in, packets and a state out. A codec keeps nothing between calls."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nicodec.codecs.base import Codec, Medium
from nicodec.entropy.coder import Stream


@dataclass(frozen=True)
class Wish:
    """What an encoder is asked for in one frame; no decoder knows of it.

    Attributes:
        quality: half steps to add to what the codec would give the frame.
        is_key: whether decoders are to be able to start at it.
        importance: (⌈H/16⌉, ⌈W/16⌉) float32 of about 1 on average: how much an error counts in each square of 16
            pixels; None: the same everywhere.
        ends_group: whether frames before and after it are to be predicted from it; None: as the codec sees fit.

    """

    quality: int = 0
    is_key: bool = False
    importance: Tensor | None = None
    ends_group: bool | None = None


@dataclass(frozen=True)
class Frame:
    """A frame in YUV 4:2:0.

    Attributes:
        y: (H, W) float32, 0..1 for the codes 0..255, whatever range of them the clip uses.
        u, v: (⌈H/2⌉, ⌈W/2⌉) likewise.
        pts: when it is shown, in units of the clip's time base.
        duration: in the same; 0 where it is not known.
        wish: what its encoder is asked for.

    """

    y: Tensor
    u: Tensor
    v: Tensor
    pts: int
    duration: int
    wish: Wish = Wish()


@dataclass(frozen=True)
class CodedFrame:
    """A frame as it is in the file.

    Attributes:
        number: 0, 1, 2 and so on in the order of coding.
        stream: its symbols.
        pts, duration: see `Frame`.
        type: 0, 1 or 2 for I, P or B; 3 to 255 are the family's own.
        is_key: whether a decoder may start here.
        references: numbers of up to six earlier frames that it is predicted from.

    """

    number: int
    stream: Stream
    pts: int
    duration: int
    type: int = 0
    is_key: bool = False
    references: tuple[int, ...] = ()


class ClipCodec(Codec):
    """A family of clips. States are values: whoever holds one may go on from it as often as wanted."""

    medium = Medium.CLIP

    @abstractmethod
    def start_encoding(self, size: tuple[int, int], quality: int, options: Any) -> Any:
        """Give the state before the first frame.

        Args:
            size: H, W of the frames.
            quality: half steps 0..200.
            options: an instance of the class's `Options`.

        """

    @abstractmethod
    def encode(self, frame: Frame | None, state: Any) -> tuple[list[CodedFrame], Any]:
        """Take the next frame in order of time, or None at the end.

        Returns:
            What is ready to be written, in order of coding, and the next state.

        """

    @abstractmethod
    def start_decoding(self, size: tuple[int, int], quality: int) -> Any:
        """Give the state before the first packet, or before a key frame's; see `start_encoding`."""

    @abstractmethod
    def decode(self, coded: CodedFrame | None, state: Any) -> tuple[list[Frame], Any]:
        """Take the next packet in order of coding, or None at the end.

        Returns:
            The frames that are next in order of time, and the next state.

        Raises:
            SymbolMismatchError: the symbols read are not the symbols written.

        """

    def at_once(self, size: tuple[int, int]) -> int:
        """How many packets at most `decode_together` is better given than one after another, for frames of H, W."""
        return 1

    def decode_together(self, coded: Sequence[CodedFrame], state: Any) -> tuple[list[Frame], Any]:
        """Like `decode`, of one packet or several that follow each other and of which none refers to another.

        Raises:
            SymbolMismatchError: as `decode`; which of the packets it is, decoding them one by one tells.

        """
        frames: list[Frame] = []
        for each in coded:
            more, state = self.decode(each, state)
            frames += more
        return frames, state
