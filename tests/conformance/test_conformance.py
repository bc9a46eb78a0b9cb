"""Files that were written once decode for ever: the same symbols, pixels to within a level."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import nicodec
from nicodec import container
from nicodec.media import decode_alpha
from nicodec.zoo import PACKAGED, fingerprint_of, fingerprint_without_weights, installed_models

from .make_files import symbols_hash

FOLDER = Path(__file__).parent
FACTS = json.loads((FOLDER / "facts.json").read_text())


@pytest.mark.parametrize("name", sorted(FACTS))
def test_file_decodes_as_it_did(name: str) -> None:
    data, known = (FOLDER / f"{name}.nic").read_bytes(), FACTS[name]
    assert symbols_hash(data) == known["symbols"]
    image = nicodec.decompress(data)
    pixels = np.asarray(image)
    assert image.mode == known["mode"]
    assert list(image.size) == known["size"]
    assert np.abs(pixels[image.height // 2].ravel().astype(int) - known["row"]).max() <= 1
    assert abs(pixels.mean() - known["mean"]) < 0.1


def test_alpha_as_the_format_page_says(shared: Path) -> None:
    """A file that was made from FORMAT.md, not by our writer; the model that it names has been replaced since."""
    stored = container.read_picture((shared / "cases" / "alpha_as_in_FORMAT.nic").read_bytes())
    assert stored.alpha is not None
    alpha = decode_alpha(stored.alpha, stored.header.width, stored.header.height)
    assert alpha.shape == (24, 32)
    assert len(np.unique(alpha)) > 1


def test_packaged_models_are_pinned() -> None:
    """The table is append only: a fingerprint that was released stays, with its weights."""
    assert set(PACKAGED) == {"493db1c1", "1046f632", "08c512f5", "177112f6", "da3645cc"}
    assert fingerprint_without_weights("splat").hex() == "a517fb79"
    assert fingerprint_without_weights("lossless").hex() == "fedc2956"
    for entry in installed_models():
        folder = entry.folder or Path(str(resources.files("nicodec_models"))) / entry.name
        assert (folder / "CARD.md").is_file()
        if entry.weights is None:
            assert entry.fingerprint == fingerprint_without_weights(entry.name)
        else:
            assert fingerprint_of(entry.weights) == entry.fingerprint
            assert (folder / "recipe.toml").is_file()
