"""nicodec's own codecs, through the public API and nothing else."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kodak_eval.errors import CodecUnavailableError


@functools.cache
def _model(name: str):
    """Return the model held in this process's memory."""
    import nicodec

    if not hasattr(nicodec, "load"):
        raise CodecUnavailableError("this nicodec has no load(): it cannot be evaluated yet")
    try:
        return nicodec.load(name)
    except Exception as error:
        raise CodecUnavailableError(f"nicodec cannot load the model {name!r}: {error}") from error


@functools.cache
def source_fingerprint() -> str:
    """Return 16 hex digits over nicodec's Python sources and tables; training code does not count.

    A change of them makes cached results stale, so that a measurement never outlives its code.
    """
    digest = hashlib.sha256()
    spec = importlib.util.find_spec("nicodec")
    for root in [] if spec is None else spec.submodule_search_locations or []:
        for file in sorted([*Path(root).rglob("*.py"), *Path(root).rglob("*.npz")]):
            if "training" not in file.relative_to(root).parts:
                digest.update(file.relative_to(root).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def weights_fingerprint(model: str) -> str:
    """Return the fingerprint of an installed model's weights, in hex."""
    from nicodec.zoo import find_model

    return find_model(model).fingerprint.hex()


@dataclass(frozen=True)
class Nicodec:
    """A model of nicodec; the setting is its quality, 0 to 100.

    Attributes:
        model: name of an installed model, or a model folder, as in ``nicodec.load(name)``.
        effort: of the encoder, 1 to 9; 0: its default.

    """

    model: str = "hyperprior"
    effort: int = 0
    settings: tuple[float, ...] = (0, 14, 28, 43, 57, 71, 86, 100)
    parameter: str = "quality"
    step = 0.5
    limits = (0, 100)

    @property
    def name(self) -> str:
        """``nicodec-`` and the model's name, with the effort where one is given."""
        return f"nicodec-{Path(self.model).name}" + (f"-e{self.effort}" if self.effort else "")

    @property
    def label(self) -> str:
        """Legend."""
        return f"nicodec {Path(self.model).name}" + (f" (effort {self.effort})" if self.effort else "")

    def version(self) -> str:
        """Return nicodec's version and a fingerprints of weights and code."""
        _model(self.model)
        import nicodec

        weights = weights_fingerprint(self.model)
        return f"nicodec {nicodec.__version__}, weights {weights}, code {source_fingerprint()}"

    def command(self, setting: float) -> str:
        """Return the command line of the same file."""
        effort = f" --effort {self.effort}" if self.effort else ""
        return f"nicodec compress --codec {self.model} --quality {setting:g}{effort}"

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return the .nic file of (H, W, 3) uint8 pixels."""
        from PIL import Image

        options = {"effort": self.effort} if self.effort else {}
        return _model(self.model).compress(Image.fromarray(pixels), float(setting), **options)

    def decode(self, data: bytes) -> np.ndarray:
        """Return (H, W, 3) uint8 pixels."""
        return np.asarray(_model(self.model).decompress(data).convert("RGB"))
