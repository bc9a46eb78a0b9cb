"""From a recipe to a model folder, on and on."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nicodec
from nicodec.errors import InputError, NicodecError, OutputError, UnknownModelError
from nicodec.training.loop import Loop
from nicodec.training.run import train_recipe
from nicodec.zoo import read_weights

from ..conftest import smooth_picture


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_recipe_to_model_to_file_and_on(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    out = tmp_path / "out"
    given = files_of(recipe.parent) | files_of(pictures)
    weights = train_recipe(recipe, data=[pictures], out=out, say=lines.append)
    assert weights == out / "weights.safetensors"
    assert files_of(recipe.parent) | files_of(pictures) == given
    model = nicodec.load(out)
    picture = smooth_picture(70, 90)
    assert np.asarray(model.decompress(model.compress(picture, 60))).shape == (70, 90, 3)
    first = weights.read_bytes()

    train_recipe(recipe, data=[pictures], out=out, say=lines.append)  # spent: nothing is done
    assert weights.read_bytes() == first
    assert any("has spent its budget" in line for line in lines)

    train_recipe(recipe, data=[pictures], out=out, steps=8, say=lines.append)
    assert any("going on from" in line and "step 4" in line for line in lines)
    assert weights.read_bytes() != first
    copy = (out / "recipe.toml").read_text()
    assert copy.startswith(recipe.read_text())
    assert [entry["steps"] for entry in tomllib.loads(copy)["history"]] == [4, 4]
    with (out / "preview.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["quality"] for row in rows} == {"10", "30", "50", "70", "90"}
    with (out / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["4.0", "8.0"]
    assert not [path for path in out.iterdir() if path.name.startswith(".")]

    train_recipe(out, data=[pictures], out=out, steps=9, say=lines.append)  # its own copy of the recipe is as good
    assert len(tomllib.loads((out / "recipe.toml").read_text())["history"]) == 3

    recipe.write_text(recipe.read_text().replace("batch = 2", "batch = 3"))
    with pytest.raises(InputError, match=r"another recipe.*stages"):
        train_recipe(recipe, data=[pictures], out=out, say=lines.append)


def test_training_starts_from_weights(
    recipe: Path, pictures: Path, tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NICODEC_MODELS", str(tiny_model_folder))
    folder = tiny_model_folder / "tiny"
    before = files_of(folder)
    seen: list[torch.Tensor] = []
    step = Loop._train

    def first_weights(self: Loop, *arguments: Any) -> None:
        seen.append(self.objective.codec.mean_context[0].enter.weight.detach().clone())
        step(self, *arguments)

    monkeypatch.setattr(Loop, "_train", first_weights)
    for number, init in enumerate([folder, "tiny", folder / "weights.safetensors"]):
        lines: list[str] = []
        out = tmp_path / f"out{number}"
        train_recipe(recipe, data=[pictures], out=out, init=init, steps=1, say=lines.append)
        assert any("starting from the weights of" in line for line in lines)
        assert not any("starting from blocks" in line for line in lines)
        assert "init" in tomllib.loads((out / "recipe.toml").read_text())["history"][0]
    expected = read_weights(folder / "weights.safetensors")[1]["mean_context.0.enter.weight"].float()
    assert all(torch.equal(each, expected) for each in seen)
    assert files_of(folder) == before


def test_weights_that_do_not_fit_say_so(
    recipe: Path, pictures: Path, tmp_path: Path, tiny_model_folder: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"x" * 100)
    options: dict[str, Any] = {"data": [pictures], "out": tmp_path / "out", "say": lambda text: None}
    recipe.write_text(recipe.read_text().replace("latents = 24", "latents = 32"))
    with pytest.raises(InputError, match="not of the sizes"):
        train_recipe(recipe, init=tiny_model_folder / "tiny", **options)
    for init in (broken, "no such model"):
        with pytest.raises(UnknownModelError):
            train_recipe(recipe, init=init, **options)
    with pytest.raises(InputError, match="has no weights"):
        train_recipe(recipe, init="splat", **options)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_where_something_else_is(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "models" / "hyperprior"
    before = files_of(recipe.parent) | files_of(pictures) | files_of(shipped)
    for out in (recipe.parent, pictures, shipped, recipe):
        with pytest.raises(OutputError, match="--out"):
            train_recipe(recipe, data=[pictures], out=out, say=lambda text: None)
    assert files_of(recipe.parent) | files_of(pictures) | files_of(shipped) == before


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_unreadable_checkpoints_say_so(recipe: Path, pictures: Path, tmp_path: Path, content: bytes | None) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if content is None:
        torch.save({"model": {}}, out / "checkpoint.pt")
    else:
        (out / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match="no checkpoint that can be read") as raised:
        train_recipe(recipe, data=[pictures], out=out, say=lambda text: None)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('codec = "hyperprior"', 'codec = "hyper"', "unknown codec family|no codec|hyper"),
        ("latents = 24", "latent = 24", "'latent' means nothing"),
        ("latents = 24", 'latents = "many"', "a whole number"),
        ("filter_weights = 16", "filter_weights = 15", "makes no codec"),
        ("start_blocks = 2000", "start_block = 2000", "'start_block' means nothing"),
        ("start_blocks = 2000", "ema = 2", "give 1 or less"),
        ("until = 0.5", "until = 1.0", "stages end at"),
        ("crop = 64", "crop = 65", "multiples of 64"),
        ("crop = 64", "crop = 192", "at least 192 pixels"),
        ('name = "rate-distortion"', 'name = "beauty"', "no objective 'beauty'"),
        ("half_size_share = 0.5", "half_size_share = 1.5", "give 1 or less"),
        ("half_size_share = 0.5", "shares = [1.0]", "1 shares for 0 folders"),
        ("steps = 4", "", "no budget"),
    ],
)
def test_recipes_that_cannot_be_followed(
    recipe: Path, pictures: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    recipe.write_text(recipe.read_text().replace(old, new))
    with pytest.raises(NicodecError, match=message) as raised:
        train_recipe(recipe, data=[pictures], out=tmp_path / "out", say=lambda text: None)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_codec_without_parameters_cannot_be_trained(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    head, _, rest = recipe.read_text().partition("[model]")
    recipe.write_text(head.replace('"hyperprior"', '"splat"') + "[objective]" + rest.partition("[objective]")[2])
    with pytest.raises(InputError, match="Splat has no"):
        train_recipe(recipe, data=[pictures], out=tmp_path / "out", say=lambda text: None)


def test_minutes_bound_everything(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    text = (
        recipe.read_text().replace("steps = 4", "minutes = 0.1").replace("filter_crops = 30", "filter_crops = 99999")
    )
    recipe.write_text(text.replace("start_blocks = 2000", "start_blocks = 2000\nscale_share = 0.3"))
    lines: list[str] = []
    start = time.process_time()
    train_recipe(recipe, data=[pictures], out=tmp_path / "out", say=lines.append)
    assert time.process_time() - start < 40  # of two cores; without bounds the end alone takes many minutes
    assert any(line.startswith("35 % of the budget, 0.0 minutes, are kept for the end") for line in lines)
    state = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    assert state["finished"]


PROGRAM = """
import sys
from nicodec_cli.main import main
from nicodec.training import loop
loop.REPORT_SECONDS = 0.0
sys.argv[0] = "nicodec"
main()
"""


def test_an_interrupted_run_goes_on(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["train", str(recipe), "--data", str(pictures), "--out", str(out)]
    arguments = [sys.executable, "-c", PROGRAM, *command, "--steps", "100000"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step "):
                process.send_signal(signal.SIGINT)
                break
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert f"the same command goes on from {out}" in said
    assert "Traceback" not in said
    steps = torch.load(out / "checkpoint.pt", weights_only=True)["step"]
    assert steps >= 1
    lines: list[str] = []
    train_recipe(recipe, data=[pictures], out=out, steps=steps + 1, say=lines.append)
    assert any(f"at step {steps}" in line for line in lines)
    nicodec.load(out)


WORKER = """
import os, sys, torch
from pathlib import Path
from nicodec.training.rate_distortion import RateDistortion
from nicodec.training.run import train_recipe

step = RateDistortion.step
def seen(self, share):
    numbers = step(self, share)
    torch.save(self.codec.state_dict(), os.environ["RANK"] + ".pt")
    return numbers
RateDistortion.step = seen

recipe, pictures, steps = sys.argv[1:]
train_recipe(Path(recipe), data=[Path(pictures)], out=Path("out"), steps=int(steps))
"""


def test_two_workers_keep_the_same_weights(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    for steps in (2, 4):  # the second goes on
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command = [*launch, str(script), str(recipe), str(pictures), str(steps)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
        assert all(torch.equal(value, second[name]) for name, value in first.items())
        assert done.stdout.count("held out: ") == 1
        for rank in (0, 1):
            (tmp_path / f"{rank}.pt").unlink()
    history = tomllib.loads((tmp_path / "out" / "recipe.toml").read_text())["history"]
    assert [(entry["workers"], entry["steps"]) for entry in history] == [(2, 2), (2, 2)]
    nicodec.load(tmp_path / "out")


def test_readme_trains_as_it_says(tmp_path: Path) -> None:
    """Its line, on drawn photographs, for a few steps."""
    from PIL import Image

    root = Path(__file__).parents[2]
    lines = re.findall(r"nicodec train [^`\n]*", (root / "README.md").read_text(encoding="utf-8"))
    assert lines
    (tmp_path / "FOLDER").mkdir()
    for seed in range(4):
        Image.fromarray(smooth_picture(260, 280, seed)).save(tmp_path / "FOLDER" / f"{seed}.jpg")
    shutil.copytree(root / "examples", tmp_path / "examples")
    for line in lines:
        words = line.split("#")[0].split()
        if "--minutes" in words:
            at = words.index("--minutes")
            del words[at : at + 2]
        out = words[words.index("--out") + 1]
        command = [sys.executable, "-m", "nicodec_cli", *words[1:], "--steps", "2"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert nicodec.load(tmp_path / out).compress(smooth_picture(70, 70), 50)
