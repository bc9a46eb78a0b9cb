"""The codecs of an evaluation, and how the command line names them."""

from __future__ import annotations

from kodak_eval.codecs.base import Codec
from kodak_eval.codecs.catalogue import ANCHORS, VARIANTS, codec_from_name, default_codecs

__all__ = ["ANCHORS", "VARIANTS", "Codec", "codec_from_name", "default_codecs"]
