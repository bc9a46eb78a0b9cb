"""What is benched, and with which settings it has so many bits a position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nicodec.quantize.affine import AffineSettings
from nicodec.quantize.base import Settings
from nicodec.quantize.bsq import SphereSettings
from nicodec.quantize.fsq import FiniteSettings
from nicodec.quantize.gaussian import GaussianSettings
from nicodec.quantize.gumbel import GumbelSettings
from nicodec.quantize.ibq import IndexSettings
from nicodec.quantize.lattice import LatticeSettings
from nicodec.quantize.leech import DIMENSIONS, LeechSettings
from nicodec.quantize.lfq import SignSettings
from nicodec.quantize.optvq import TransportSettings
from nicodec.quantize.orthogonal import OrthogonalSettings
from nicodec.quantize.product import ProductSettings
from nicodec.quantize.projected import ProjectedSettings
from nicodec.quantize.residual import ResidualSettings
from nicodec.quantize.simvq import SimSettings
from nicodec.quantize.vector import VectorSettings
from nicodec.quantize.wae import WassersteinSettings

BITS = (8, 10, 12, 16)
"""A position."""

LEVELS = {8: (16, 4, 4), 10: (16, 8, 8), 12: (16, 8, 8, 4), 16: (16, 16, 8, 8, 4)}
"""Of scalars, the principal components of most energy first."""


@dataclass(frozen=True)
class Entry:
    """One quantiser of the bench.

    Attributes:
        name: in tables.
        settings: of so many bits.
        what: one line about it.
        bits: those that it can have, of `BITS`.
        started: whether it is fitted to features before it is trained.

    """

    name: str
    settings: Callable[[int], Settings]
    what: str
    bits: tuple[int, ...] = BITS
    started: bool = True


ENTRIES = (
    Entry("vq", lambda b: VectorSettings(2**b), "learned codebook, k-means start, dead codes revived"),
    Entry("vq-bare", lambda b: VectorSettings(2**b, revive=False), "random start, no revival", started=False),
    Entry("vq-ema", lambda b: VectorSettings(2**b, decay=0.99), "codebook of averages"),
    Entry("vq-rotation", lambda b: VectorSettings(2**b, rotation=True), "rotation trick"),
    Entry("affine", lambda b: AffineSettings(2**b), "affine codes, alternating steps"),
    Entry("orthogonal", lambda b: OrthogonalSettings(2**b), "orthogonal codebook"),
    Entry("simvq", lambda b: SimSettings(2**b), "one linear layer of random codes"),
    Entry("ibq", lambda b: IndexSettings(2**b), "gradients to every code"),
    Entry("optvq", lambda b: TransportSettings(2**b), "assigned by optimal transport"),
    Entry("wae", lambda b: WassersteinSettings(2**b), "Wasserstein loss"),
    Entry("gaussian", lambda b: GaussianSettings(2**b, dimensions=b // 2), "Gaussian Quant, random codes"),
    Entry("residual", lambda b: ResidualSettings(VectorSettings(2 ** (b // 2)), 2), "two stages, beam of 4"),
    Entry("product", lambda b: ProductSettings(VectorSettings(2 ** (b // 2)), 2), "two groups"),
    Entry("product-nested", lambda b: ProductSettings(VectorSettings(2 ** (b // 2)), 2, 0.3), "MGVQ's, nested"),
    Entry("mcquic", lambda b: ProductSettings(GumbelSettings(2 ** (b // 2)), 2), "two groups, Gumbel-softmax"),
    Entry("fsq", lambda b: ProjectedSettings(FiniteSettings(LEVELS[b]), len(LEVELS[b])), "bounded scalars"),
    Entry("lattice", lambda b: ProjectedSettings(LatticeSettings(LEVELS[b]), len(LEVELS[b])), "learned steps"),
    Entry("lfq", lambda b: ProjectedSettings(SignSettings(), b), "signs"),
    Entry("bsq", lambda b: ProjectedSettings(SphereSettings(), b), "signs on the sphere"),
    Entry("leech", lambda b: ProjectedSettings(LeechSettings(), DIMENSIONS), "fixed, 17.58 bits", bits=(16,)),
)


def entry_of(name: str) -> Entry | None:
    """The entry of a name."""
    return next((entry for entry in ENTRIES if entry.name == name), None)
