"""Feature networks and distances: zero for equal pictures, more for worse ones, gradients that are finite."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nicodec.perceptual.discriminator import PatchDiscriminator, augmented, hinge
from nicodec.perceptual.distances import added_detail, feature_distance, wasserstein_distortion
from nicodec.perceptual.networks import (
    EfficientNetLite0,
    FeatureNetwork,
    NoNetworkError,
    Vgg16,
    efficientnet_lite0,
    vgg16,
)

from ..conftest import smooth_picture

DISTANCES = [feature_distance, wasserstein_distortion]


def picture(seed: int = 0, side: int = 96) -> Tensor:
    return torch.from_numpy(smooth_picture(side, side, seed)).permute(2, 0, 1)[None].float() / 255


def loaded(load: Callable[[], FeatureNetwork]) -> FeatureNetwork:
    try:
        return load()
    except NoNetworkError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=[vgg16, efficientnet_lite0])
def network(request: pytest.FixtureRequest) -> FeatureNetwork:
    return loaded(request.param)


@pytest.mark.parametrize("distance", DISTANCES)
def test_worse_is_further(network: FeatureNetwork, distance: Callable[..., Tensor]) -> None:
    x = picture()
    blurs = [F.avg_pool2d(F.pad(x, (n, n, n, n), mode="replicate"), 2 * n + 1, 1) for n in (1, 3)]
    same, little, much = (float(distance(network, x, y)) for y in (x, *blurs))
    assert same == pytest.approx(0, abs=1e-5)
    assert 0.001 < little < much


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradients_are_finite_where_pictures_are_equal_and_flat(
    network: FeatureNetwork, distance: Callable[..., Tensor]
) -> None:
    x = torch.full((2, 3, 64, 64), 0.5)
    x[1] = picture(1, 64)[0]
    y = x.clone().requires_grad_()
    distance(network, x, y).sum().backward()
    assert y.grad is not None
    assert torch.isfinite(y.grad).all()


@pytest.mark.parametrize("kind", [Vgg16, EfficientNetLite0])
def test_features_halve(kind: type[FeatureNetwork]) -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 64, 96)
    features = kind().eval()(x)
    assert len(features) == len(kind.depths)
    sides = [each.shape[2] for each in features]
    assert all(before == 2 * after for before, after in pairwise(sides))


def test_efficientnet_classifies_as_the_package_says() -> None:
    """Its pooled features are those of the package's own network, where that is installed."""
    network = loaded(efficientnet_lite0)
    assert isinstance(network, EfficientNetLite0)
    pooled = network.pooled(picture(2, 224))
    assert pooled.shape == (1, 1280)
    package = pytest.importorskip("efficientnet_lite_pytorch")
    reference = package.EfficientNet.from_name("efficientnet-lite0").eval()
    state = {**reference.state_dict(), **network.state_dict()}
    reference.load_state_dict(state)
    with torch.no_grad():
        expected = reference.extract_features((255 * picture(2, 224) - 127) / 128).mean((2, 3))
    assert torch.allclose(pooled, expected, atol=1e-4)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoNetworkError, match="pip install"):
        efficientnet_lite0()


def test_the_discriminator_learns_what_is_blurred() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(8)
    optimiser = torch.optim.AdamW(discriminator.parameters(), lr=5e-3, betas=(0.5, 0.9))
    losses = []
    for step in range(40):
        x = torch.rand(4, 3, 32, 32)
        real, fake = augmented(x, F.avg_pool2d(x, 3, 1, 1))
        loss = hinge(discriminator(real), discriminator(fake))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        assert discriminator(x).shape == (4, 1, 4, 4), step
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_pictures_are_changed_alike() -> None:
    torch.manual_seed(3)
    x = torch.rand(3, 3, 16, 24)
    one, other = augmented(x, x)
    assert torch.equal(one, other)
    assert not torch.allclose(one, x)


@pytest.mark.parametrize("side", [1, 2, 4])
def test_detail_is_added_where_a_picture_is_flat(side: int) -> None:
    place = torch.arange(64) // side
    checks = torch.full((1, 3, 64, 64), 0.5)
    checks[..., (place[:, None] + place) % 2 == 0] += 4 / 255
    flat = torch.full_like(checks, 0.5)
    found = float(added_detail(flat, checks))  # 2 codes to each side
    assert 1.5 < found < 5
    assert float(added_detail(checks, flat)) < 1e-6
    textured = torch.rand(1, 3, 64, 64)
    assert float(added_detail(textured, (textured + checks - 0.5).clamp(0, 1))) < 0.1 * found
    moved = checks.clone().requires_grad_()
    added_detail(flat, moved).sum().backward()
    assert moved.grad is not None
    assert bool(moved.grad.isfinite().all())
