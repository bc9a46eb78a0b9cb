"""The one interface that nicodec's codecs and all anchors share: bytes from a picture, and back."""

from __future__ import annotations

from dataclasses import Field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Codec(Protocol):
    """A picture codec with one setting that trades size for quality.

    Implementations are frozen dataclasses: small, hashable, cheap to pickle. What is heavy
    (a network) is loaded at first use and kept in the process.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __hash__(self) -> int:
        """Return a hash over the fields, as frozen dataclasses have it."""

    @property
    def name(self) -> str:
        """Short id, unique among codecs, as on the command line: ``avif-444``."""

    @property
    def label(self) -> str:
        """Name in legends and tables, with what a reader must know: ``AVIF 4:4:4 (speed 4)``."""

    @property
    def parameter(self) -> str:
        """What the setting is called by the encoder: ``quality``, ``qp``, ``distance``, ``ratio``."""

    @property
    def settings(self) -> tuple[float, ...]:
        """Settings of a default run, from the smallest file to the largest."""

    @property
    def step(self) -> float:
        """Return the least difference of two settings: 1 where only whole numbers are taken."""

    @property
    def limits(self) -> tuple[float, float]:
        """The settings of the smallest and the largest file that the encoder can make."""

    def version(self) -> str:
        """Return encoder and library versions; a change of it makes cached results stale.

        Raises:
            CodecUnavailableError: the encoder is not installed here.

        """

    def command(self, setting: float) -> str:
        """Return the call or command line that ``encode`` stands for, as text for the report."""

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return the whole file of ``pixels``, (H, W, 3) uint8 sRGB, at ``setting``."""

    def decode(self, data: bytes) -> np.ndarray:
        """Return the picture in ``data`` as (H, W, 3) uint8 sRGB."""
