"""The one quality knob: 0..100 for users, half steps inside."""

from __future__ import annotations

from dataclasses import dataclass

from nicodec.checks import number

HALF_STEPS_MAX = 200
QUALITY_DEFAULT = 50.0


@dataclass(frozen=True, order=True)
class Quality:
    """A quality.

    Attributes:
        half_steps: 0 (smallest file) to 200 (best picture).

    """

    half_steps: int

    @classmethod
    def of(cls, value: object, name: str = "quality") -> Quality:
        """The quality that a user calls 0..100; between half steps the nearest.

        Raises:
            QualityError: it is no number from 0 to 100.

        """
        return cls(round(2 * number(name, value, 0, 100, "from 0 (smallest file) to 100 (best picture)")))

    @property
    def value(self) -> float:
        """What users call it, 0..100."""
        return self.half_steps / 2

    def __str__(self) -> str:
        return f"{self.value:g}"
