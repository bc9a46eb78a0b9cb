from __future__ import annotations

import csv
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nicodec
from nicodec.entropy.coder import LeastCost, RateEstimator
from nicodec.errors import InputError
from nicodec.training.data import Crops, find_pictures
from nicodec.training.loss import drawn_qualities, rate_distortion
from nicodec.training.optimisers import build_optimisers, learning_rate_factor, set_learning_rate
from nicodec.training.recipe import DataRecipe, ScheduleRecipe, read_recipe
from nicodec.training.run import train_recipe
from nicodec.training.scales import learn_scales

from ..conftest import TINY, smooth_picture, tiny_codec

RECIPE = """
name = "small"
codec = "hyperprior"
[model]
{model}
[data]
folders = ["${{DATA}}"]
crop = 64
holdout = 2
[schedule]
steps = 4
batch = 2
preview_minutes = 0
scale_steps = 2
filter_crops = 30
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(6):
        Image.fromarray(smooth_picture(140, 150, seed)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    model = "\n".join(f"{k} = {list(v) if isinstance(v, tuple) else v}" for k, v in TINY.items())
    path = tmp_path / "small" / "recipe.toml"
    path.parent.mkdir()
    path.write_text(RECIPE.format(model=model))
    return path


def test_recipe_to_model_to_file_and_on(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    weights = train_recipe(recipe, data=pictures, run=tmp_path / "run", say=lines.append)
    model = nicodec.load(recipe.parent)
    picture = smooth_picture(70, 90)
    assert np.asarray(model.decompress(model.compress(picture, 60))).shape == (70, 90, 3)
    first = weights.read_bytes()

    checkpoint = tmp_path / "run" / "last.pt"
    state = torch.load(checkpoint, weights_only=True)
    state["average"] = dict(reversed(state["average"].items()))  # as that of a network that has grown may be
    torch.save(state, checkpoint)
    train_recipe(recipe, data=pictures, run=tmp_path / "run", steps=8, say=lines.append)
    assert any("going on from" in line and "step 4" in line for line in lines)
    assert weights.read_bytes() != first
    history = tomllib.loads(recipe.read_text())["history"]
    assert [entry["steps"] for entry in history] == [4, 4]

    train_recipe(recipe, data=pictures, run=tmp_path / "other", say=lines.append)
    assert any("starting from" in line and "weights.safetensors" in line for line in lines)
    with (tmp_path / "run" / "preview.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["quality"] for row in rows} == {"10", "30", "50", "70", "90"}


def test_scales_are_learned_alone(pictures: Path) -> None:
    codec = tiny_codec().requires_grad_(True)
    crops = Crops(find_pictures([pictures]), DataRecipe(crop=64), seed=3)
    before = {name: value.clone() for name, value in codec.named_parameters()}
    learns = [name for name, value in codec.named_parameters() if value.requires_grad]
    x = crops.batch(4)
    quality = torch.tensor([20, 70, 120, 170])

    def bits() -> float:
        estimator = RateEstimator(noise=False)
        with torch.no_grad():
            codec.code_latents(LeastCost(estimator), x, (64, 64), quality)
        return float(estimator.bits.sum())

    bits_before = bits()
    learn_scales(codec, crops, ScheduleRecipe(batch=4, scale_steps=40), amp=False)
    assert not codec.training
    assert bits() < 0.999 * bits_before
    changed = {name for name, value in codec.named_parameters() if not torch.equal(value, before[name])}
    whole = {id(value) for value in codec.integer_parameters()}
    assert changed <= {name for name, value in codec.named_parameters() if id(value) in whole}
    assert any(name.startswith("scale_context") for name in changed)
    assert learns == [name for name, value in codec.named_parameters() if value.requires_grad]


def test_qualities_are_drawn_from_all_of_the_range() -> None:
    for count in (1, 3, 8):
        quality = drawn_qualities(count)
        assert quality.dtype == torch.int64
        assert (quality * count // 201).tolist() == list(range(count))


WORKER = """
import os, sys, torch
from pathlib import Path
from nicodec.training import run
from nicodec.training.loop import Trainer

class Seen(Trainer):
    def run(self, *args, **options):
        super().run(*args, **options)
        torch.save(self.codec.state_dict(), os.environ["RANK"] + ".pt")

run.Trainer = Seen
run.train_recipe(Path(sys.argv[1]), data=Path(sys.argv[2]), run=Path("run"))
"""


def test_two_workers_keep_the_same_weights(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launch, script, recipe, pictures], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert done.stdout.count("starting from principal components") == 2
    nicodec.load(recipe.parent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'a'\ncodec = 'hyperprior'\ncolour = 1", "unknown key 'colour'"),
        ("name = 'a'\ncodec = 'hyperprior'\n[schedule]\nepochs = 3", "unknown key 'epochs'"),
        ("name = ", "cannot read the recipe"),
    ],
)
def test_bad_recipes_say_why(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(tmp_path / "recipe.toml")


def test_missing_pictures_say_what_to_do(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA", raising=False)
    with pytest.raises(InputError, match="--data"):
        train_recipe(recipe, run=tmp_path / "run")
    with pytest.raises(InputError, match="no such folder"):
        find_pictures([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        find_pictures([tmp_path / "empty"])


def test_packaged_recipe_reads() -> None:
    assert read_recipe(Path("models/hyperprior/recipe.toml").absolute()).codec == "hyperprior"


def test_crops_are_pieces_of_the_pictures(pictures: Path) -> None:
    crops = Crops(find_pictures([pictures]), DataRecipe(crop=64, half_size_share=0.0), seed=3)
    batch = crops.batch(5)
    assert batch.shape == (5, 3, 64, 64)
    assert 0 <= float(batch.min()) < float(batch.max()) <= 1
    assert crops.blocks(33).shape == (33, 3, 16, 16)


def test_loss_is_lambda_distortion_plus_rate() -> None:
    x, x_hat = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.1)
    weight = torch.tensor([0.01, 0.02])
    loss, bpp, mse = rate_distortion(x, x_hat, torch.tensor([64.0, 128.0]), weight, 0.0)
    assert bpp.tolist() == [1, 2]
    assert mse.tolist() == pytest.approx([0.01, 0.01])
    assert float(loss) == pytest.approx((6.5025 + 1 + 13.005 + 2) / 2, rel=1e-4)


def test_learning_rate_warms_up_and_decays() -> None:
    schedule = ScheduleRecipe(warmup_steps=10, decay_from=0.5)
    assert learning_rate_factor(0.0, 0, schedule) == pytest.approx(0.1)
    assert learning_rate_factor(0.4, 100, schedule) == pytest.approx(1.0)
    assert learning_rate_factor(1.0, 100, schedule) == pytest.approx(0.02)


@pytest.mark.parametrize("muon", [0.0, 1e-3])
def test_every_parameter_is_trained_once_and_bases_slowly(muon: float) -> None:
    codec = tiny_codec().requires_grad_(True)
    optimisers = build_optimisers(codec, ScheduleRecipe(learning_rate=1e-3, muon_learning_rate=muon))
    set_learning_rate(optimisers, 0.5)
    rates = {id(p): group["lr"] for o in optimisers for group in o.param_groups for p in group["params"]}
    listed = [id(p) for o in optimisers for group in o.param_groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in codec.parameters())
    for name, parameter in codec.named_parameters():
        slow = name.startswith(("to_fine.", "to_latents.", "from_latents.", "from_fine."))
        assert rates[id(parameter)] == pytest.approx(1e-4 if slow else 5e-4), name
