"""One run of the bench: a quantiser between two small networks, trained for a given time, then measured.

    features ─ x + network(x) ─ quantiser ─ q + network(q) ─ decoded        loss: squared error + the quantiser's own

Both networks start as nothing (identity) and are the same for all. Time is the processor's, on one thread, and
includes the quantiser's start (k-means and the like), so that a busy machine changes nothing but the
waiting.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kodak_eval.quantizers.entries import ENTRIES, Entry
from kodak_eval.quantizers.features import Features
from nicodec.quantize.base import Quantiser
from nicodec.quantize.gaussian import water_level

HIDDEN, BATCH = 64, 512

RATE = 1e-3
"""Adam's; it falls to nothing by a cosine of the time spent."""

DECODING_SECONDS = 0.1
"""Decoding is repeated for so long."""


@dataclass(frozen=True)
class Result:
    """What a run found.

    Attributes:
        name: of the quantiser.
        nominal: bits that were asked for.
        bits: a position, at a fixed length.
        seed: of weights, batches and start.
        seconds: of training, on one thread.
        features: `Features.name`.
        steps: of the optimiser.
        start_seconds: of `seconds`, spent on the start.
        mse: mean squared error of test rows, as a share of their variance.
        gaussian_mse: what a Gaussian source of the same covariance allows at `bits`.
        entropy: bits of test rows by their own frequencies, a table an index.
        codes_used: joint codes among test rows, as a share of what even use would bring.
        encoded, decoded: rows a second, without the networks.
        table_bytes: that a decoder stores.

    """

    name: str
    nominal: int
    bits: float
    seed: int
    seconds: float
    features: str
    steps: int
    start_seconds: float
    mse: float
    gaussian_mse: float
    entropy: float
    codes_used: float
    encoded: float
    decoded: float
    table_bytes: int

    @property
    def gap(self) -> float:
        """Decibels by which the error is above the Gaussian source's; negative: below."""
        return 10 * math.log10(self.mse / self.gaussian_mse)


class _Residual(nn.Module):
    """x + network(x) of rows, at first x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(channels, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, channels))
        for parameter in self.network[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Rows (N, C)."""
        return x + self.network(x)


def run(
    entry: Entry,
    nominal: int,
    seed: int,
    seconds: float,
    features: Features,
    clock: Callable[[], float] = time.process_time,
) -> Result:
    """Train and measure one quantiser, on one thread.

    Args:
        entry: which.
        nominal: bits a position, one of `entry.bits`.
        seed: of everything random.
        seconds: of training.
        features: rows.
        clock: what tells the time; by default the processor's.

    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _run(entry, nominal, seed, seconds, features, clock)
    finally:
        torch.set_num_threads(threads)


def warm_up(features: Features) -> None:
    """Do once what the first run would do slower than others."""
    run(ENTRIES[0], ENTRIES[0].bits[0], 0, 0.01, replace(features, training=features.training[:BATCH]))


def _run(
    entry: Entry, nominal: int, seed: int, seconds: float, features: Features, clock: Callable[[], float]
) -> Result:
    channels = features.training.shape[1]
    encoder, decoder = _Residual(channels), _Residual(channels)
    quantiser = entry.settings(nominal).build(channels)
    begun = clock()
    if entry.started:
        quantiser.start(features.training)
    started = clock() - begun
    parameters = [p for part in (encoder, quantiser, decoder) for p in part.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, RATE)
    steps = 0
    while steps == 0 or clock() - begun < seconds:
        share = min(1.0, (clock() - begun) / seconds)
        optimiser.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * share)) / 2
        x = features.training[torch.randint(len(features.training), (BATCH,))]
        found = quantiser(_as_picture(encoder(x)))
        loss = F.mse_loss(decoder(_as_rows(found.features)), x) + found.loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        quantiser.after_step()
        steps += 1
    measured = _measure(encoder.eval(), quantiser.eval(), decoder.eval(), features, clock)
    return Result(
        name=entry.name,
        nominal=nominal,
        bits=quantiser.bits,
        seed=seed,
        seconds=seconds,
        features=features.name,
        steps=steps,
        start_seconds=round(started, 3),
        table_bytes=quantiser.stored_bytes,
        **measured,
    )


@torch.inference_mode()
def _measure(
    encoder: _Residual, quantiser: Quantiser, decoder: _Residual, features: Features, clock: Callable[[], float]
) -> dict[str, float]:
    test = features.test
    inner = _as_picture(encoder(test))
    begun = clock()
    indices = quantiser.indices(inner)
    encoding = clock() - begun
    begun, times = clock(), 0
    while times == 0 or clock() - begun < DECODING_SECONDS:
        decoded = quantiser.decode(indices)
        times += 1
    decoding = (clock() - begun) / times
    variance = (test - test.mean(0)).square().mean()
    error = (decoder(_as_rows(decoded)) - test).square().mean()
    columns = _as_rows(indices)
    return {
        "mse": float(error / variance),
        "gaussian_mse": gaussian_error(test, quantiser.bits),
        "entropy": sum(entropy(column) for column in columns.t()),
        "codes_used": used(columns, quantiser.bits),
        "encoded": len(test) / max(encoding, 1e-9),
        "decoded": len(test) / max(decoding, 1e-9),
    }


def gaussian_error(rows: Tensor, bits: float) -> float:
    """The least mean squared error of a Gaussian source of the rows' covariance, as a share of its variance."""
    energy = torch.linalg.eigvalsh(torch.cov(rows.double().t())).clamp(min=1e-12)
    return float(water_level(energy, bits).sum() / energy.sum())


def entropy(symbols: Tensor) -> float:
    """Bits a symbol, by the symbols' own frequencies, with Miller's correction for few symbols."""
    _, counts = symbols.unique(return_counts=True)
    shares = counts.double() / counts.sum()
    return float(-(shares * shares.log2()).sum() + (len(counts) - 1) / (2 * len(symbols) * math.log(2)))


def used(indices: Tensor, bits: float) -> float:
    """How many joint codes rows of indices (N, I) have, as a share of what as many rows of even codes would have."""
    codes, rows = 2.0**bits, len(indices)
    expected = codes * -math.expm1(rows * math.log1p(-1 / codes))
    return len(indices.unique(dim=0)) / expected


def _as_picture(rows: Tensor) -> Tensor:
    return rows[:, :, None, None]


def _as_rows(picture: Tensor) -> Tensor:
    return picture[:, :, 0, 0]
