"""What tests of several codecs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nicodec.codecs import tiling


@pytest.fixture(scope="module")
def small_tiles() -> Iterator[None]:
    """Tiles of at most 128 pixels a side, in pictures of more than 128x128."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "WHOLE_PIXELS", 2**14)
        patch.setattr(tiling, "TILE", 128)
        yield
