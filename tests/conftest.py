"""Fixtures that several rooms' tests use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from nicodec.threads import wait_passively

wait_passively()  # before torch is loaded

import torch  # noqa: E402

# A busy machine is no fault of the code. CI draws the same examples each time, so that what fails there fails here:
# CI=1 python -m pytest ...
settings.register_profile("here", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An untrained model deserves the advice to use another format; only of trained ones is it an error here."""
    for item in items:
        if isinstance(item, pytest.Function) and "tiny_model_folder" in item.fixturenames:
            item.add_marker(pytest.mark.filterwarnings("ignore::nicodec.alternatives.PoorFitWarning"))


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of pictures beside the checkout; tests that need it are skipped where it is not."""
    if not (SHARED / "data" / "kodak").is_dir():
        pytest.skip("../shared with the Kodak pictures is not beside this checkout")
    return SHARED


def shown(value: object) -> str:
    """What a value is called in the name of a test: without an address, which is another in each process."""
    return repr(value).split(" at 0x")[0]


@contextlib.contextmanager
def without_onednn() -> Iterator[None]:
    """Switch oneDNN off. (`torch.backends.mkldnn.flags` does too, but warns about Intel GPUs.)"""
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(True)


def smooth_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A drawn picture, uint8 (height, width, 3): colour gradients, discs and a little noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for _ in range(3):
        plane = 128 + 60 * np.sin(rows / random.uniform(9, 60)) * np.cos(columns / random.uniform(9, 60))
        for _ in range(4):
            y, x, r = (
                random.uniform(0, height),
                random.uniform(0, width),
                random.uniform(4, 4 + min(height, width) / 3),
            )
            plane[(rows - y) ** 2 + (columns - x) ** 2 < r * r] = random.uniform(0, 255)
        planes.append(plane + random.normal(0, 2, plane.shape))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


TINY = {
    "latents": 24,
    "split": 8,
    "hyper": 16,
    "hyper_latents": 8,
    "hyper_context": 12,
    "scale_hyper": 8,
    "scale_context": 12,
    "analysis_blocks": (1, 1),
    "synthesis_blocks": (1, 1),
    "filter_weights": 16,
}
"""Configuration of a hyperprior small enough for tests."""


def tiny_codec(**changes: object) -> torch.nn.Module:
    """A hyperprior with drawn principal components and random blocks, integers derived, in evaluation mode."""
    from nicodec.codecs import build_codec

    torch.manual_seed(0)
    codec = build_codec("hyperprior", {**TINY, **changes})
    picture = torch.from_numpy(smooth_picture(512, 512, 5)).permute(2, 0, 1).float() / 255
    blocks = picture.unfold(1, 16, 8).unfold(2, 16, 8).permute(1, 2, 0, 3, 4).reshape(-1, 3, 16, 16)
    codec.start_from(blocks)
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            if parameter.requires_grad and "log_" not in name and not name.startswith(("to_", "from_")):
                parameter.add_(0.02 * torch.randn_like(parameter))
        codec.adaptive_filter.basis.normal_()
        codec.adaptive_filter.log_unit[0] = -5.0
        codec.adaptive_filter.index.fill_(20)
    codec.to_integers()
    return codec.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for NICODEC_MODELS that holds one model, `tiny`."""
    from nicodec.zoo import write_model

    root = tmp_path_factory.mktemp("models")
    write_model(tiny_codec(), "hyperprior", root / "tiny")
    return root
