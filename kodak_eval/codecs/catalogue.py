"""From a codec's name on the command line to the codec."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from kodak_eval.codecs.compressai_zoo import ARCHITECTURES, CompressaiModel
from kodak_eval.codecs.intra_video import X265, SvtAv1
from kodak_eval.codecs.jpegxl import JpegXl
from kodak_eval.codecs.learned import Nicodec
from kodak_eval.codecs.pillow_codecs import Avif, Jpeg, Jpeg2000, Jpeg2000LikeFfmpeg, Webp
from kodak_eval.errors import CodecUnavailableError, EvaluationError

if TYPE_CHECKING:
    from kodak_eval.codecs.base import Codec

ANCHORS: dict[str, Codec] = {
    "jpeg": Jpeg(),
    "jpeg2000": Jpeg2000(),
    "webp": Webp(),
    "avif-444": Avif(subsampling="4:4:4"),
    "avif-420": Avif(subsampling="4:2:0"),
    "jpegxl": JpegXl(),
    "x265-444": X265(),
    "svtav1-420": SvtAv1(),
}
"""The anchors of a default run at their best practical settings."""

VARIANTS: dict[str, Codec] = {
    "jpeg-plain": Jpeg(plain=True),
    "jpeg2000-plain": Jpeg2000LikeFfmpeg(),
    "webp-m4": Webp(method=4),
}
"""What the published curves of CompressAI were made with; a whole run on Kodak checks against them."""


def codec_from_name(text: str) -> Codec:
    """Return the codec that ``text`` names: ``NAME`` or ``NAME:option=value,option=value``.

    ``NAME`` is an anchor's or a variant's, ``nicodec-MODEL`` (any installed model), or
    ``compressai-ARCHITECTURE``. Options are the fields of the codec's dataclass: ``avif-444:speed=0``,
    ``x265-444:bits=10``, ``webp:settings=10/40/80``, ``nicodec:model=FOLDER``,
    ``compressai-mbt2018-mean:checkpoints=FOLDER``.

    Raises:
        EvaluationError: no such codec, or no such option, with those that exist.

    """
    name, _, option_text = text.partition(":")
    codec = _named(name)
    fields = {field.name: field for field in dataclasses.fields(codec)}
    changes: dict[str, object] = {}
    for pair in filter(None, option_text.split(",")):
        key, separator, value = pair.partition("=")
        if isinstance(codec, Nicodec) and separator and key not in ("model", "settings"):
            codec = codec.with_option(key, value)
            continue
        if not separator or key not in fields:
            raise EvaluationError(f"{name} has no option {pair!r}; it has: {', '.join(fields)} (key=value)")
        try:
            changes[key] = _parse(value, getattr(codec, key))
        except ValueError as error:
            raise EvaluationError(f"{value!r} does not fit {name}'s option {key}") from error
    return dataclasses.replace(codec, **changes)


def _named(name: str) -> Codec:
    known = ANCHORS | VARIANTS
    if name in known:
        return known[name]
    if name == "nicodec":
        return Nicodec()
    if name.startswith("nicodec-"):
        return Nicodec(name.removeprefix("nicodec-"))
    if (architecture := name.removeprefix("compressai-")) in ARCHITECTURES:
        return CompressaiModel(architecture)
    zoo = [f"compressai-{architecture}" for architecture in ARCHITECTURES]
    raise EvaluationError(f"unknown codec {name!r}; known: nicodec-MODEL, {', '.join([*known, *zoo])}")


def _parse(value: str, like: object) -> object:
    if isinstance(like, bool):
        if value not in ("true", "false"):
            raise ValueError(value)
        return value == "true"
    if isinstance(like, tuple):
        return tuple(float(part) for part in value.split("/"))
    for kind in (int, float):
        if isinstance(like, kind):
            return kind(value)
    return value


def default_codecs(model: str = "hyperprior") -> tuple[list[Codec], dict[str, str]]:
    """Return nicodec's ``model`` and all anchors that run here, and why the others do not, by name."""
    usable: list[Codec] = []
    missing: dict[str, str] = {}
    for codec in [Nicodec(model), *ANCHORS.values()]:
        try:
            codec.version()
        except CodecUnavailableError as error:
            missing[codec.name] = str(error)
        else:
            usable.append(codec)
    return usable, missing
