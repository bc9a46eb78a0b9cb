"""`nicodec eval`, the real program: what it refuses, what it leaves out, and on a cluster."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kodak_eval.datasets import read_pixels
from kodak_eval.errors import DatasetError
from tests.test_jobs import dask_cluster


def evaluate(folder, *arguments, **variables):
    """Evaluate JPEG by PSNR on `folder/pictures` without times and viewer."""
    quick = ["-c", "jpeg:settings=20/50/80/95", "-m", "psnr", "--speed-pictures", "0", "--viewer", "0"]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "nicodec_cli",
            "eval",
            "pictures",
            "--cache",
            "cache",
            "-o",
            "out",
            *quick,
            *arguments,
        ],
        env={**os.environ, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def deep_picture(file):
    """Write a 16-bit RGB PNG, which Pillow opens as 8-bit RGB."""
    imagecodecs = pytest.importorskip("imagecodecs")
    file.write_bytes(imagecodecs.png_encode(np.full((64, 64, 3), 30000, np.uint16)))


def test_no_usable_picture_is_an_error(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"no picture")
    result = evaluate(tmp_path)
    assert result.returncode == 3
    assert result.stderr.count("\n") == 1
    assert "none of its 1 pictures can be used; a.png: cannot be read" in result.stderr


def test_what_cannot_be_measured_is_told_in_a_line_each_and_the_rest_goes_on(pictures):
    (pictures / "bad.png").write_bytes(b"no picture")
    deep_picture(pictures / "deep.png")
    Image.new("RGBA", (64, 64)).save(pictures / "clear.png")
    result = evaluate(pictures.parent, "--processes", "2")
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    for name, line in zip(("bad.png", "clear.png", "deep.png"), lines, strict=True):
        assert line.startswith(f"nicodec: warning: {name}: ")
        assert line.endswith("; left out")
    assert "12 measurements (12 new)" in result.stdout


def test_deep_pictures_are_not_measured_as_8_bits(tmp_path):
    deep_picture(tmp_path / "deep.png")
    with pytest.raises(DatasetError, match=r"only opaque 8-bit .*16 bits"):
        read_pixels(tmp_path / "deep.png")


def test_measurements_that_all_failed_are_an_error(tmp_path):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (70_000, 1)).save(tmp_path / "pictures" / "wide.png")  # JPEG has no such width
    result = evaluate(tmp_path, "--processes", "1")
    assert result.returncode == 1
    assert result.stderr.count("nicodec: ") == 1  # libjpeg has its own lines
    assert "error: none of 4 measurements succeeded; the first: " in result.stderr


def test_a_terminal_of_ascii_gets_its_tables(pictures):
    result = evaluate(pictures.parent, "--processes", "1", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "12 measurements" in result.stdout
    assert result.stdout.isascii()


def test_a_cluster_measures_the_same(pictures, tmp_path):
    with dask_cluster(tmp_path) as address:
        result = evaluate(pictures.parent, "--cluster", address)
    assert result.returncode == 0, result.stderr
    assert "12 measurements (12 new)" in result.stdout
    here = evaluate(pictures.parent, "--processes", "1", "--cache", "another")
    table = result.stdout.partition("measurements")[0].rpartition("\n")[0]
    assert here.stdout.startswith(table)
