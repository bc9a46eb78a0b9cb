"""A codec and an objective of a package outside, found by entry points."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nicodec.errors import InputError
from nicodec.training.objective import Objective
from nicodec.training.registry import objective
from nicodec.training.run import train_recipe
from nicodec.zoo import read_weights

MODULE = '''
import copy
from dataclasses import dataclass

import torch
from torch import nn

from nicodec.codecs.base import Codec, Medium
from nicodec.training.objective import DataSettings, Objective
from nicodec.training.settings import setting


@dataclass(frozen=True)
class ToyConfig:
    width: int = 3


class Toy(Codec):
    """Codes nothing: it has a parameter to train, and no latents."""

    medium = Medium.PICTURE
    Config = ToyConfig

    def __init__(self, config=None):
        super().__init__()
        self.config = config or ToyConfig()
        self.bias = nn.Parameter(torch.zeros(self.config.width))

    def exported(self):
        return {name: value.detach().clone() for name, value in self.state_dict().items()}

    def load_exported(self, tensors):
        self.load_state_dict(tensors)


@dataclass(frozen=True)
class ToySettings:
    rate: float = setting(0.5, help="Of descent.", least=0)


@dataclass(frozen=True)
class ToyData(DataSettings):
    target: float = setting(1.0, help="What is learned.")


class Numbers:
    """Numbers of text files: no pictures."""

    def __init__(self, folders, target):
        self.values = [float(path.read_text()) + target for folder in folders for path in folder.glob("*.txt")]

    def describe(self):
        return f"{len(self.values)} numbers"


class ToyObjective(Objective):
    settings_type, data_type = ToySettings, ToyData

    @classmethod
    def open_source(cls, data, folders, shares, seed, budget, workers):
        return Numbers(folders, data.target)

    def start(self, *, initialised):
        if not initialised:
            with torch.no_grad():
                self.codec.bias.fill_(8.0)

    def step(self, share):
        network = self.workers.wrap(self.codec)
        loss = (network.bias - self.source.values[0]).square().mean()
        loss.backward()
        with torch.no_grad():
            self.codec.bias -= self.settings.rate * self.codec.bias.grad * self.codec.bias.numel() / 2
            self.codec.bias.grad = None
        return {"loss": loss.detach(), "passed": share}

    def finish(self, budget):
        return copy.deepcopy(self.codec).eval()

    def state_dict(self):
        return {"bias": self.codec.bias.detach()}

    def load_state_dict(self, state):
        with torch.no_grad():
            self.codec.bias.copy_(state["bias"])
'''

ENTRY_POINTS = """
[nicodec.codecs]
toy = toy_codec_of_tests:Toy
[nicodec.objectives]
toy = toy_codec_of_tests:ToyObjective
missing = toy_codec_of_tests:Missing
wrong = toy_codec_of_tests:ToyData
"""

RECIPE = """
name = "toy"
codec = "toy"
[model]
width = 2
[objective]
name = "toy"
rate = 0.5
[data]
target = 2.0
[run]
steps = 3
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A recipe of an installed package's codec and objective."""
    site = tmp_path / "site"
    (site / "toy-1.dist-info").mkdir(parents=True)
    (site / "toy-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (site / "toy-1.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "toy_codec_of_tests.py").write_text(MODULE)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "toy_codec_of_tests", raising=False)
    (tmp_path / "numbers").mkdir()
    (tmp_path / "numbers" / "one.txt").write_text("1.5")
    (tmp_path / "toy.toml").write_text(RECIPE)
    return tmp_path / "toy.toml"


def test_a_toy_is_trained_for_three_steps(toy: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    options = {"data": [tmp_path / "numbers"], "out": tmp_path / "out", "say": lines.append}
    weights = train_recipe(toy, **options)
    about, tensors = read_weights(weights)
    assert about["codec"] == "toy"
    # Each step halves the way from 8 to 1.5 + 2.
    assert torch.allclose(tensors["bias"], torch.full((2,), 3.5 + 4.5 / 8))
    assert "training on 1 numbers" in lines
    with (tmp_path / "out" / "log.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["loss"]) == pytest.approx((4.5**2 + 2.25**2 + 1.125**2) / 3, rel=1e-3)

    train_recipe(toy, steps=4, **options)  # goes on
    assert torch.allclose(read_weights(weights)[1]["bias"], torch.full((2,), 3.5 + 4.5 / 16))
    train_recipe(toy, **{**options, "out": tmp_path / "other"}, steps=1, init=weights)
    assert torch.allclose(
        read_weights(tmp_path / "other" / weights.name)[1]["bias"], torch.full((2,), 3.5 + 4.5 / 32)
    )


def test_objectives_are_found_by_name(toy: Path) -> None:
    assert issubclass(objective("toy"), Objective)
    assert objective("rate-distortion").__name__ == "RateDistortion"
    with pytest.raises(InputError, match=r"no objective 'none'; installed: .*rate-distortion.*toy"):
        objective("none")
    with pytest.raises(InputError, match="cannot be loaded"):
        objective("missing")
    with pytest.raises(InputError, match=r"is no nicodec\.training"):
        objective("wrong")
