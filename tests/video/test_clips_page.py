"""What docs/clips.md shows as code works, with the toy in the place of a model that is not installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nicodec import DEFAULT_CLIP_CODEC
from nicodec.media.clip_writing import Y4mSink
from nicodec.media.clips import from_rgb
from nicodec_cli.main import run
from tests.media.clip_drawing import draw

from .conftest import PACKAGE, smooth

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clips.md"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where the toy is installed under the name of the default model of clips, if there is none."""
    from nicodec.codecs import family_names

    about = tmp_path / "package" / "nicodec_alias-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: nicodec-alias\nVersion: 1.0\n")
    if DEFAULT_CLIP_CODEC not in family_names():
        (about / "entry_points.txt").write_text(f"[nicodec.codecs]\n{DEFAULT_CLIP_CODEC} = nicodec_toy:Blink\n")
    monkeypatch.syspath_prepend(str(about.parent))
    paths = [str(about.parent), str(PACKAGE), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


@pytest.mark.filterwarnings("ignore::nicodec.media.LossyConversionWarning")  # the clip is too small for its rates
def test_commands_and_code_run(tmp_path: Path, environment: dict[str, str]) -> None:
    frames = [smooth(n) for n in range(6)]
    draw(tmp_path / "holiday.mp4", frames, encoder="libx264")
    clip = from_rgb(frames)
    with (tmp_path / "holiday.y4m").open("wb") as file:
        sink = Y4mSink(file, clip.format)
        for frame in clip:
            sink.write(frame)
    for kind, block in re.findall(r"```(sh|python)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        if kind == "python":
            exec(compile(block, str(PAGE), "exec"), {"__name__": "page"})
            continue
        for line in block.splitlines():
            if "|" in line:
                script = line.replace("nicodec ", f"{sys.executable} -m nicodec_cli ")
                subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=environment, check=True)
            else:
                assert run(line.split()[1:]) == 0, line
    assert (tmp_path / "frames" / "0006.png").is_file()
    assert (tmp_path / "back.y4m").read_bytes().count(b"FRAME\n") == 6
    assert (tmp_path / "size.nic").stat().st_size <= 200_000
