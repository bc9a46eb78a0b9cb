"""What the documents show as code works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from .conftest import smooth_picture

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_family_of_the_page_is_trained_and_codes(tmp_path: Path) -> None:
    """The class of docs/adding-a-family.md, in a package of its own."""
    text = (DOCS / "adding-a-family.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "class Small(" in block)
    package = tmp_path / "package"
    (package / "nicodec_small-1.0.dist-info").mkdir(parents=True)
    (package / "nicodec_small.py").write_text(code)
    about = package / "nicodec_small-1.0.dist-info"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: nicodec-small\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[nicodec.codecs]\nsmall = nicodec_small:Small\n")
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.fromarray(smooth_picture(130, 140, number)).save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "recipe.toml").write_text(
        'name = "mine"\ncodec = "small"\n[objective]\nname = "rate-distortion"\nstart_blocks = 1000\n'
        "[run]\nsteps = 3\n"
    )
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    for command in (
        "train recipe.toml --data pictures --out mine",
        "compress pictures/0.png --codec mine -o picture.nic -q 90",
    ):
        arguments = [sys.executable, "-m", "nicodec_cli", *command.split()]
        done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    decode = "import nicodec; assert nicodec.load('mine').decompress('picture.nic').size == (140, 130)"
    subprocess.run([sys.executable, "-c", decode], cwd=tmp_path, env=environment, check=True)
