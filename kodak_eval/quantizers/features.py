"""What the quantisers of the bench quantise: latents of photographs, from the picture codec's analysis.

Each position's latents are taken to their principal components, of which the first `CHANNELS` are kept, scaled to a
mean variance of one, and turned at random, so that no channel is special: squared errors mean the same before and
after, and a quantiser that splits channels into groups has them about equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kodak_eval.datasets import SUFFIXES, read_pixels
from kodak_eval.errors import DatasetError
from nicodec import DEFAULT_CODEC
from nicodec.codecs.hyperprior import Hyperprior
from nicodec.zoo import find_model, load_codec

CHANNELS = 32

TRAINING_ROWS, TEST_ROWS = 2**17, 2**14

MOST_PICTURES = 40
"""Of more, so many are taken, evenly."""

QUALITY = 50
"""In half steps, of the codec whose analysis it is: its layers follow the quality."""

TEST_SHARE = 8
"""One picture in so many is for tests, and no row of it for training."""

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "coffee.png")
"""Of scikit-image's package, where no folder is given; the last is for tests."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Features:
    """Rows to quantise.

    Attributes:
        training: (N, C), float32.
        test: (M, C), of other pictures.
        kept: share of the latents' energy that the components have.
        pictures: how many there were.

    """

    training: Tensor
    test: Tensor
    kept: float
    pictures: int

    @property
    def name(self) -> str:
        """Hexadecimal digits that differ between features."""
        digest = hashlib.sha256(self.training.numpy().tobytes())
        digest.update(self.test.numpy().tobytes())
        return digest.hexdigest()[:16]


def load_features(folders: Sequence[Path], cache: Path, say: Say) -> Features:
    """The features of pictures in folders, from the cache where they were made before.

    Args:
        folders: with pictures, in subfolders too; none: photographs of scikit-image.
        cache: a folder, which is made.
        say: takes lines about what happens.

    Raises:
        DatasetError: a folder holds no picture, or there are too few.

    """
    paths = _pictures(folders) if folders else _packaged()
    entry = find_model(DEFAULT_CODEC)
    about = "\0".join([entry.fingerprint.hex(), *(f"{path.name} {path.stat().st_size}" for path in paths)])
    path = cache / f"features-{hashlib.sha256(about.encode()).hexdigest()[:16]}.safetensors"
    found = _cached(path)
    if found is None:
        codec = load_codec(entry, torch.device("cpu"))
        if not isinstance(codec, Hyperprior):
            raise DatasetError(f"model {entry.name} is not nicodec's own hyperprior; install that again")
        say(f"features of {len(paths)} pictures, once")
        found = _made(codec, paths)
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        facts = {"kept": repr(found.kept), "pictures": str(found.pictures)}
        save_file({"training": found.training, "test": found.test}, partial, facts)
        partial.replace(path)
    return found


def _pictures(folders: Sequence[Path]) -> list[Path]:
    paths = []
    for folder in folders:
        found = sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        if not found:
            raise DatasetError(f"{folder}: holds no pictures; give --data another folder")
        paths += found
    paths = [paths[i] for i in sorted({round(i) for i in np.linspace(0, len(paths) - 1, MOST_PICTURES)})]
    if len(paths) < 2:
        raise DatasetError(f"{len(paths)} picture: give at least two, since one is for tests")
    return paths


def _packaged() -> list[Path]:
    import skimage

    return [Path(skimage.__file__).parent / "data" / name for name in PHOTOGRAPHS]


def _cached(path: Path) -> Features | None:
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata()
            return Features(
                file.get_tensor("training"), file.get_tensor("test"), float(facts["kept"]), int(facts["pictures"])
            )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _made(codec: Hyperprior, paths: Sequence[Path]) -> Features:
    generator = torch.Generator().manual_seed(0)
    tests = [number % TEST_SHARE == TEST_SHARE - 1 or number == len(paths) - 1 for number in range(len(paths))]
    shares = {True: TEST_ROWS // sum(tests), False: TRAINING_ROWS // (len(tests) - sum(tests))}
    rows: dict[bool, list[Tensor]] = {True: [], False: []}
    for path, test in zip(paths, tests, strict=True):
        latents = _latents(codec, read_pixels(path))
        order = torch.randperm(len(latents), generator=generator)
        rows[test].append(latents[order[: shares[test]]])
    training, test_rows = torch.cat(rows[False]).double(), torch.cat(rows[True]).double()
    mean = training.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((training - mean).t()))
    basis = vectors.flip(1)[:, :CHANNELS]
    kept = values.flip(0)[:CHANNELS]
    turned, _ = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=generator, dtype=torch.float64))
    layer = basis @ turned / kept.mean().sqrt()
    return Features(
        ((training - mean) @ layer).float().contiguous(),
        ((test_rows - mean) @ layer).float().contiguous(),
        float(kept.sum() / values.sum()),
        len(paths),
    )


@torch.inference_mode()
def _latents(codec: Hyperprior, pixels: np.ndarray) -> Tensor:
    """Rows of latents (positions, C) of (H, W, 3) uint8, whose last incomplete blocks are left out."""
    unit = codec.alignment
    height, width = (side // unit * unit for side in pixels.shape[:2])
    if not height or not width:
        raise DatasetError(f"a picture of {pixels.shape[1]}x{pixels.shape[0]}: give larger ones than {unit}x{unit}")
    x = torch.from_numpy(np.array(pixels[:height, :width])).permute(2, 0, 1)[None].float() / 255
    y = codec.analyse(x, torch.tensor([QUALITY]))
    return y[0].flatten(1).t().float()
