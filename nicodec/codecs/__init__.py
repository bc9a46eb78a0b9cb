"""One module a codec family: a network and its one traversal. See docs/adding-a-family.md."""

from nicodec.codecs.registry import build_codec, family, family_names

__all__ = ["build_codec", "family", "family_names"]
