"""Codebooks that quantisers of the family teach: each trains the codec, and its files decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nicodec
from nicodec.codecs.mcquic import Mcquic, McquicConfig
from nicodec.errors import InputError
from nicodec.training.codebook_rules import CodebookRules
from nicodec.training.codes import CodesObjective, CodesSettings, CodesStage
from nicodec.training.run import train_recipe
from nicodec.training.workers import Workers

from ..codecs.test_mcquic import TINY
from ..conftest import smooth_picture
from .conftest import opened

SIXTEEN = {**TINY, "codes": (16,) * 5, "channels": (4,) * 5}
"""The same with as many codes at each level, as quantisers of scalars and signs have them."""

RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "priced": ("", TINY),
    "gumbel": ('{ name = "gumbel" }', TINY),
    "averages": ('{ name = "vq", decay = 0.99 }', TINY),
    "rotation": ('{ name = "vq", rotation = true }', TINY),
    "simvq": ('{ name = "simvq" }', TINY),
    "ibq": ('{ name = "ibq" }', TINY),
    "optvq": ('{ name = "optvq" }', TINY),
    "wae": ('{ name = "wae" }', TINY),
    "affine": ('{ name = "affine" }', TINY),
    "orthogonal": ('{ name = "orthogonal" }', TINY),
    "fsq": ('{ name = "projected", dimensions = 2, inner = { name = "fsq", levels = [4, 4] } }', SIXTEEN),
    "lfq": ('{ name = "lfq" }', SIXTEEN),
}
"""By a name, the recipe's table and the sizes of the network."""

RECIPE = """
name = "tiny"
codec = "mcquic"
[model]
{model}
[objective]
name = "codes"
start_crops = 8
start_crop = 64
start_blocks = 2000
prior_crop = 64
lost_share = 0.0
prefix_share = 0.5
{rule}
[[objective.stages]]
crop = 64
batch = 3
[data]
[run]
steps = 4
"""


@pytest.mark.parametrize("name", RULES)
def test_a_recipe_names_what_teaches_codebooks(name: str, pictures: Path, tmp_path: Path) -> None:
    table, sizes = RULES[name]
    rule = f"quantizer = {table}" if table else ""
    model = "\n".join(f"{k} = {list(v) if isinstance(v, tuple) else v}" for k, v in sizes.items())
    (tmp_path / "recipe.toml").write_text(RECIPE.format(model=model, rule=rule))
    train_recipe(tmp_path / "recipe.toml", out=tmp_path / "out", data=[pictures], say=lambda text: None)
    trained = nicodec.load(str(tmp_path / "out"))
    assert not [key for key in trained.codec.exported() if "rules" in key]
    picture = smooth_picture(90, 70)
    sizes_of_files = []
    for quality in (0, 60, 100):
        data = trained.compress(picture, quality)
        sizes_of_files.append(len(data))
        assert np.asarray(trained.decompress(data)).shape == picture.shape
    assert sizes_of_files == sorted(sizes_of_files)


def objective(pictures: Path, alone: Workers, table: dict[str, Any]) -> CodesObjective:
    torch.manual_seed(0)
    small = {"start_crops": 12, "start_crop": 64, "start_blocks": 2000, "prior_crop": 64}
    settings = CodesSettings(**small, quantizer=table, stages=(CodesStage(crop=64),))  # type: ignore[arg-type]
    return CodesObjective(Mcquic(McquicConfig(**TINY)).train(), settings, opened([pictures], alone), alone)


@pytest.mark.parametrize("name", ["gumbel", "simvq", "vq", "ibq"])
def test_a_rule_moves_the_codebooks_and_goes_on_from_a_checkpoint(name: str, pictures: Path, alone: Workers) -> None:
    table = {"name": name, **({"decay": 0.9} if name == "vq" else {})}
    trained = objective(pictures, alone, table)
    trained.start(initialised=False)
    before = [level.quantiser.codebook.clone() for level in trained.codec.network.each_level()]
    for share in (0.0, 0.3, 0.6):
        numbers = trained.step(share)
        assert all(torch.isfinite(torch.as_tensor(value)) for value in numbers.values())
    after = [level.quantiser.codebook for level in trained.codec.network.each_level()]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    other = objective(pictures, alone, table)
    other.load_state_dict(trained.state_dict())
    ours, theirs = (each._rules.kept() for each in (trained, other) if each._rules is not None)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    x, quality = trained.source.batch(4, 64), torch.tensor([0, 60, 100, 200])
    torch.manual_seed(1)
    one = trained._network(x, quality)
    torch.manual_seed(1)
    assert all(torch.equal(a, b) for a, b in zip(one, other._network(x, quality), strict=True))


def test_what_is_known_of_codes_stays_theirs(pictures: Path, alone: Workers) -> None:
    """The start of a rule may order the codes anew."""
    plain = objective(pictures, alone, {"name": "vq"})
    plain.start(initialised=False)
    levels = list(plain.codec.network.each_level())
    codes, shares = levels[2].quantiser.codebook.clone(), levels[2].frequencies.shares.clone()
    rules = CodebookRules(levels, {"name": "vq"})
    rules.start(levels)
    found = levels[2].quantiser.codebook
    order = torch.cdist(found, codes).argmin(1)
    assert sorted(order.tolist()) == list(range(len(codes)))
    assert torch.allclose(levels[2].frequencies.shares, shares[:, order], atol=1e-6)


def test_a_rule_is_a_table() -> None:
    with pytest.raises(ValueError, match="give a table"):
        CodesSettings(quantizer="gumbel")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "none of these"}, "no quantiser"),
        ({"name": "residual"}, "give \\[model\\] codes that fit"),
        ({"name": "lfq"}, "64 codes of 6 channels, and level 0"),
        ({"name": "vq", "rotations": True}, "has no 'rotations'"),
    ],
)
def test_rules_that_do_not_fit_are_refused(
    pictures: Path, alone: Workers, table: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        objective(pictures, alone, table)
