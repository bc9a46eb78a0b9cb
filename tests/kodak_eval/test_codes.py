"""Tables of what a codec of codes does with its bits, of a model of random codes."""

import sys

import pytest
from PIL import Image

from kodak_eval import codes
from nicodec.zoo import write_model

from ..codecs.test_vqgan import tiny_vqgan
from ..conftest import smooth_picture


def test_the_tables(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pytorch_msssim")
    write_model(tiny_vqgan(), "vqgan", tmp_path / "models" / "tiny")
    monkeypatch.setenv("NICODEC_MODELS", str(tmp_path / "models"))
    (tmp_path / "in").mkdir()
    for seed in (1, 2):
        Image.fromarray(smooth_picture(190, 200, seed)).save(tmp_path / "in" / f"{seed}.png")
    asked = ["codes", "tiny", str(tmp_path / "in"), "--qualities", "0", "60", "--packets", "5"]
    monkeypatch.setattr(sys, "argv", asked)
    codes.main()
    lines = capsys.readouterr().out.splitlines()
    level = next(line.split() for line in lines if line.split()[:2] == ["60", "1"])
    assert float(level[6]) == pytest.approx(5, abs=0.01)
    assert [line.split()[:2] for line in lines if " all " in line] == [["0", "all"], ["60", "all"]]
    assert "of 64 (" in next(line for line in lines if line.startswith("codes used"))
    whole, repaired = map(float, lines[-1].split()[1:3])
    assert 0 < repaired < whole <= 1
