"""nicodec's own codecs, through the public API and nothing else."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import nicodec
from kodak_eval.errors import CodecUnavailableError, EvaluationError


class _Pictures:
    """A model of pictures, held in this process's memory."""

    def __init__(self, name: str) -> None:
        self._model = nicodec.load(name)

    def encode(self, pixels: np.ndarray, quality: float, options: dict[str, Any]) -> bytes:
        """Return the file of a picture."""
        return self._model.compress(Image.fromarray(pixels), quality, **options)

    def decode(self, data: bytes) -> np.ndarray:
        """Return the picture of a file."""
        return np.asarray(self._model.decompress(data).convert("RGB"))

    def decode_levels(self, data: bytes) -> np.ndarray | None:
        """Return the picture of a file's first bytes; None where they hold no level."""
        decoder = nicodec.ProgressiveDecoder(model=self._model)
        image = decoder.feed(data)
        return None if image is None else np.asarray(image.convert("RGB"))

    @property
    def has_levels(self) -> bool:
        """Whether its pictures are in levels."""
        from nicodec.codecs.base import Packets

        return self._model.codec.packets == Packets.LEVEL


class _Clips:
    """A model of clips, to which a picture is a clip of one frame."""

    def __init__(self, name: str) -> None:
        self._name = name

    def encode(self, pixels: np.ndarray, quality: float, options: dict[str, Any]) -> bytes:
        """Return the file of a picture."""
        data = nicodec.compress_video([pixels], quality=quality, codec=self._name, **options)
        assert data is not None
        return data

    def decode(self, data: bytes) -> np.ndarray:
        """Return the picture of a file."""
        from nicodec.media.clips import to_rgb
        from nicodec.video import first_frame

        return to_rgb(first_frame(data))

    def decode_levels(self, data: bytes) -> np.ndarray | None:
        """A clip has none."""
        return None

    has_levels = False


@functools.cache
def _coder(name: str) -> _Pictures | _Clips:
    """Return the model of that name, loaded once a process."""
    from nicodec.codecs import family
    from nicodec.zoo import family_of, find_model

    try:
        is_clip = family(family_of(find_model(name))).medium == "clip"
        return _Clips(name) if is_clip else _Pictures(name)
    except nicodec.errors.NicodecError as error:
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


def _flag(name: str, value: object) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f" --{flag}" if value else f" --no-{flag}"
    return f" --{flag} {value}"


@dataclass(frozen=True)
class Nicodec:
    """A model of nicodec; the setting is its quality, 0 to 100.

    Attributes:
        model: name of an installed model, or a model folder, as in ``nicodec.load(name)``.
        options: of the model's encoder, by name; the others have their defaults.

    """

    model: str = "hyperprior"
    options: tuple[tuple[str, object], ...] = ()
    settings: tuple[float, ...] = (0, 14, 28, 43, 57, 71, 86, 100)
    parameter: str = "quality"
    step = 0.5
    limits = (0, 100)

    def with_option(self, name: str, text: str) -> Nicodec:
        """Return the same with an option of the encoder.

        Raises:
            EvaluationError: the model has no such option, or the value does not fit it.

        """
        from nicodec.codecs import family
        from nicodec.errors import NicodecError
        from nicodec.zoo import family_of, find_model

        try:
            known = {each.name: each for each in family(family_of(find_model(self.model))).Options.described()}
            if name not in known:
                has = ", ".join(["model", "settings", *known])
                raise EvaluationError(f"nicodec-{self.model} has no option {name!r}; it has: {has} (key=value)")
            value = known[name].parse(text)
        except NicodecError as error:
            raise EvaluationError(str(error)) from error
        return dataclasses.replace(self, options=(*self.options, (name, value)))

    @property
    def name(self) -> str:
        """``nicodec-`` and the model's name, with the options that are given."""
        return f"nicodec-{Path(self.model).name}" + "".join(f"-{name}{value}" for name, value in self.options)

    @property
    def label(self) -> str:
        """Legend."""
        options = ", ".join(f"{name} {value}" for name, value in self.options)
        return f"nicodec {Path(self.model).name}" + (f" ({options})" if options else "")

    def version(self) -> str:
        """Return nicodec's version and fingerprints of weights and code."""
        _coder(self.model)
        weights = weights_fingerprint(self.model)
        return f"nicodec {nicodec.__version__}, weights {weights}, code {source_fingerprint()}"

    def command(self, setting: float) -> str:
        """Return the command line of the same file."""
        options = "".join(_flag(name, value) for name, value in self.options)
        return f"nicodec compress --codec {self.model} --quality {setting:g}{options}"

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return the .nic file of (H, W, 3) uint8 pixels."""
        return _coder(self.model).encode(pixels, float(setting), dict(self.options))

    def decode(self, data: bytes) -> np.ndarray:
        """Return (H, W, 3) uint8 pixels."""
        return _coder(self.model).decode(data)

    def has_levels(self) -> bool:
        """Return whether its files are in levels, of which the first are a picture, too."""
        return _coder(self.model).has_levels

    def decode_levels(self, data: bytes) -> np.ndarray | None:
        """Return the picture of a file's first bytes as (H, W, 3) uint8 pixels; None where they hold no level."""
        return _coder(self.model).decode_levels(data)
