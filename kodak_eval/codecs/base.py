"""The one interface that nicodec's codecs and all anchors share: bytes from a picture, and back."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Codec(Protocol):
    """A picture codec with one setting that trades size for quality.

    Implementations are frozen dataclasses: small, hashable, cheap to pickle. What is heavy
    (a network) is loaded at first use and kept in the process.
    """

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
    def whole_settings(self) -> bool:
        """Whether the encoder takes whole numbers only."""

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
