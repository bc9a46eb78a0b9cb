"""nicodec's codecs of clips, and its picture codecs frame by frame, through the public API."""

from __future__ import annotations

import dataclasses
import functools
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

import nicodec
from kodak_eval.codecs.learned import Nicodec, source_fingerprint, weights_fingerprint
from kodak_eval.errors import CodecUnavailableError
from nicodec import container
from nicodec.errors import NicodecError
from nicodec.media.clips import FrameList, PlanarFrame, to_rgb

SETTINGS = (10.0, 25.0, 40.0, 55.0, 70.0, 85.0)
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class NicodecClips:
    """A model of clips; the setting is its quality.

    Attributes:
        model: its name and options.
        settings: qualities.

    """

    model: Nicodec
    settings: tuple[float, ...] = SETTINGS

    @property
    def name(self) -> str:
        """``nicodec-`` and the model's name, with the options that are given."""
        return self.model.name

    @property
    def label(self) -> str:
        """Legend."""
        return self.model.label

    def version(self) -> str:
        """Return nicodec's version and fingerprints of weights and code."""
        return _version(self.model.model, "clip")

    def command(self, setting: float) -> str:
        """Return the command line of the same file."""
        return self.model.command(setting)

    def encode(self, clip: FrameList, setting: float) -> bytes:
        """Return the .nic file."""
        options: dict[str, Any] = dict(self.model.options)
        data = nicodec.compress_video(clip, quality=setting, codec=self.model.model, **options)
        assert data is not None
        return data

    def sizes(self, data: bytes) -> tuple[int, list[int]]:
        """Return the bytes of the file, and of each frame's data."""
        packets = container.ClipReader(io.BytesIO(data))
        frames = [(p.pts, len(p.data)) for p in packets if isinstance(p, container.FramePacket)]
        return len(data), [size for _, size in sorted(frames)]

    def decode(self, data: bytes) -> Iterator[PlanarFrame]:
        """Give the frames."""
        return iter(nicodec.VideoReader(io.BytesIO(data)))


@dataclass(frozen=True)
class NicodecPictures:
    """A model of pictures that codes every frame by itself.

    Attributes:
        model: its name and options.
        settings: qualities.

    """

    model: Nicodec
    settings: tuple[float, ...] = SETTINGS

    @property
    def name(self) -> str:
        """``pictures-`` and the model's name, with the options that are given."""
        return self.model.name.replace("nicodec-", "pictures-", 1)

    @property
    def label(self) -> str:
        """Legend."""
        return f"{self.model.label}, every frame a picture"

    def version(self) -> str:
        """Return nicodec's version and fingerprints of weights and code."""
        return _version(self.model.model, "picture")

    def command(self, setting: float) -> str:
        """Return the command line of the same files."""
        return f"{self.model.command(setting)} (each frame)"

    def encode(self, clip: FrameList, setting: float) -> bytes:
        """Return the pictures' files, each after its length."""
        colour = clip.format.colour
        parts = [bytes([colour.full_range, colour.matrix])]
        for frame in clip.frames:
            rgb = to_rgb(frame, full_range=colour.full_range, matrix=colour.matrix)
            data = _picture_model(self.model.model).compress(
                Image.fromarray(rgb), setting, **dict(self.model.options)
            )
            parts.append(_LENGTH.pack(len(data)) + data)
        return b"".join(parts)

    def sizes(self, data: bytes) -> tuple[int, list[int]]:
        """Return the bytes of all files, and of each."""
        each = [len(part) for part in _files(data)]
        return sum(each), each

    def decode(self, data: bytes) -> Iterator[PlanarFrame]:
        """Give the frames, in the planes of the clip's own matrix and range."""
        from kodak_eval.clips.colour import rgb_to_planar

        full_range, matrix = bool(data[0]), data[1]
        for number, part in enumerate(_files(data)):
            rgb = np.asarray(_picture_model(self.model.model).decompress(part).convert("RGB"))
            yield rgb_to_planar(rgb, number, full_range=full_range, matrix=matrix)


def _files(data: bytes) -> Iterator[bytes]:
    place = 2
    while place < len(data):
        (size,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        yield data[place : place + size]
        place += size


@functools.cache
def _picture_model(name: str) -> Any:
    return nicodec.load(name)


def _version(model: str, medium: str) -> str:
    try:
        found = medium_of(model)
        weights = weights_fingerprint(model)
    except NicodecError as error:
        raise CodecUnavailableError(f"nicodec has no model {model!r}: {error}") from error
    if found != medium:
        raise CodecUnavailableError(f"{model} codes {found}s, not {medium}s")
    return f"nicodec {nicodec.__version__}, weights {weights}, code {source_fingerprint()}"


def medium_of(model: str) -> str:
    """Return "picture" or "clip"."""
    from nicodec.codecs import family
    from nicodec.zoo import family_of, find_model

    return str(family(family_of(find_model(model))).medium)


def variants(model: str) -> list[NicodecClips]:
    """Return a model of clips, and it with each of its switches the other way."""
    from nicodec.codecs import family
    from nicodec.zoo import family_of, find_model

    plain = Nicodec(model)
    try:
        options = family(family_of(find_model(model))).Options.described()
    except NicodecError:
        return [NicodecClips(plain)]
    switched = [
        dataclasses.replace(plain, options=((option.name, not option.default),))
        for option in options
        if option.kind is bool
    ]
    return [NicodecClips(each) for each in (plain, *switched)]
