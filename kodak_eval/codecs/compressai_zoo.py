"""CompressAI's zoo as codecs: with its checkpoints where they are, with random weights for times.

CompressAI's models return lists of strings and a shape; ``encode`` packs them into one file with
the least a decoder needs (10 bytes, and four for each string, more than the strings), so that the whole
path and the whole size are counted.
"""

from __future__ import annotations

import functools
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kodak_eval.errors import CodecUnavailableError

ARCHITECTURES: dict[str, int] = {
    "bmshj2018-factorized": 8,
    "bmshj2018-hyperprior": 8,
    "mbt2018-mean": 8,
    "mbt2018": 8,
    "cheng2020-anchor": 6,
    "cheng2020-attn": 6,
}
"""Number of qualities of each architecture in ``compressai.zoo``."""

STRIDE = 64
"""Sides are padded to multiples of this, as CompressAI's own evaluation does."""

HEADER = struct.Struct("<BHHHHB")
"""Quality, height, width, hyper-latents' height and width, number of strings."""


def _compressai_zoo():
    try:
        with warnings.catch_warnings():  # torch's deprecations in its dependencies are not ours to report
            warnings.simplefilter("ignore")
            import compressai.zoo
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another torch
        raise CodecUnavailableError(
            f"CompressAI cannot be imported ({error}); install nicodec with its extra: "
            "pip install '.[compressai]' in its folder"
        ) from error
    return compressai.zoo


@functools.lru_cache(maxsize=2)
def _network(architecture: str, quality: int, checkpoints: str):
    """Return the network in evaluation mode, with its entropy tables built."""
    import torch

    build = _compressai_zoo().image_models[architecture]
    if checkpoints == "download":
        try:
            network = build(quality, metric="mse", pretrained=True)
        except OSError as error:
            raise CodecUnavailableError(
                f"CompressAI could not download {architecture} quality {quality} ({error}): "
                "give a folder of its .pth.tar files (checkpoints=FOLDER)"
            ) from error
    else:
        torch.manual_seed(0)
        network = build(quality, metric="mse", pretrained=False)
    if checkpoints not in ("", "download"):
        _load_checkpoint(network, _checkpoint_file(architecture, quality, Path(checkpoints)))
    network.update(force=True)
    return network.eval()


def _checkpoint_file(architecture: str, quality: int, place: Path) -> Path:
    """``place`` itself, or the file in it named as CompressAI's: ``mbt2018-mean-3-*.pth.tar``."""
    if place.is_file():
        return place
    found = sorted(place.glob(f"{architecture}-{quality}-*.pth*"))
    if not found:
        raise CodecUnavailableError(
            f"{place} has no checkpoint {architecture}-{quality}-*.pth.tar of CompressAI's zoo"
        )
    return found[0]


def _load_checkpoint(network, file: Path) -> None:
    import torch
    from compressai.zoo import load_state_dict

    state = torch.load(file, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state.get("network", state))
    network.load_state_dict(load_state_dict(state))


@dataclass(frozen=True)
class CompressaiModel:
    """One architecture of CompressAI's zoo, trained for MSE; the setting is its quality, 1 to 8 or 6.

    Attributes:
        architecture: a key of ``ARCHITECTURES``.
        checkpoints: empty for random weights (times are honest, sizes and pictures are not),
            ``download`` for CompressAI's own download, else a folder of its ``.pth.tar`` files or one file.

    """

    architecture: str
    checkpoints: str = ""
    settings: tuple[float, ...] = ()
    parameter: str = "quality"
    step = 1

    def __post_init__(self) -> None:
        if not self.settings:
            qualities = range(1, ARCHITECTURES[self.architecture] + 1)
            object.__setattr__(self, "settings", tuple(float(quality) for quality in qualities))

    @property
    def limits(self) -> tuple[float, float]:
        """The first and the last quality."""
        return 1, ARCHITECTURES[self.architecture]

    @property
    def trained(self) -> bool:
        """Whether files and pictures mean anything."""
        return bool(self.checkpoints)

    @property
    def name(self) -> str:
        """``compressai-`` and the architecture."""
        return f"compressai-{self.architecture}"

    @property
    def label(self) -> str:
        """Legend."""
        return f"{self.architecture} (CompressAI" + (")" if self.trained else ", random weights)")

    def version(self) -> str:
        """Return versions of CompressAI and torch, and where the weights come from."""
        _compressai_zoo()
        import compressai
        import torch

        weights = self.checkpoints or "random"
        return f"compressai {compressai.__version__}, torch {torch.__version__}, weights {weights}"

    def command(self, setting: float) -> str:
        """Return CompressAI's call."""
        return f"image_models[{self.architecture!r}]({int(setting)}, metric='mse').compress(x)"

    def encode(self, pixels: np.ndarray, setting: float) -> bytes:
        """Return one file of the strings of (H, W, 3) uint8 pixels."""
        import torch

        height, width = pixels.shape[:2]
        x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float().div(255)
        bottom, right = -height % STRIDE, -width % STRIDE
        x = torch.nn.functional.pad(x, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))
        with torch.inference_mode():
            out = _network(self.architecture, int(setting), self.checkpoints).compress(x)
        strings = [group[0] for group in out["strings"]]
        header = HEADER.pack(int(setting), height, width, *out["shape"], len(strings))
        lengths = struct.pack(f"<{len(strings)}I", *map(len, strings))
        return header + lengths + b"".join(strings)

    def decode(self, data: bytes) -> np.ndarray:
        """Return (H, W, 3) uint8 pixels."""
        import torch

        quality, height, width, *shape, count = HEADER.unpack_from(data)
        lengths = struct.unpack_from(f"<{count}I", data, HEADER.size)
        position = HEADER.size + 4 * count
        strings = []
        for length in lengths:
            strings.append([data[position : position + length]])
            position += length
        with torch.inference_mode():
            out = _network(self.architecture, quality, self.checkpoints).decompress(strings, tuple(shape))
        top, left = (-height % STRIDE) // 2, (-width % STRIDE) // 2
        x = out["x_hat"][0, :, top : top + height, left : left + width]
        return x.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
