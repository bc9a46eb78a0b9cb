from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def test_python_code_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        subprocess.run([sys.executable, "-W", "error", "-c", block], check=True, cwd=tmp_path)


def test_commands_run(tmp_path: Path) -> None:
    """The lines under "Use it", on drawn pictures; what would take long is made small."""
    from .conftest import smooth_picture

    text = README.read_text(encoding="utf-8").split("## Use it")[1].split("### From Python")[0]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    smaller = {"--size 40kB": "--size 4kB", "--gaussians 5000": "--gaussians 50 --iterations 5"}
    (tmp_path / "photos" / "more").mkdir(parents=True)
    (tmp_path / "small").mkdir()
    (tmp_path / "back").mkdir()
    from PIL import Image

    for name in ("photo.jpg", "scan.png", "photos/a.png", "photos/more/b.png"):
        Image.fromarray(smooth_picture(96, 128)).save(tmp_path / name)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for command in commands:
        command = command.split("#")[0]
        for large, small in smaller.items():
            command = command.replace(large, small)
        words = command.split()
        if words[1] == "compress" and "--skip-existing" not in words:
            words.append("-f")
        subprocess.run([sys.executable, "-m", "nicodec_cli", *words[1:]], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "photo.png").is_file()
    assert (tmp_path / "small" / "more" / "b.nic").is_file()
    assert (tmp_path / "back" / "more" / "b.png").is_file()
    with Image.open(tmp_path / "exact.png") as drawn:
        assert drawn.size == (1600, 1200)


def test_files_that_the_pages_name_are_there() -> None:
    root = README.parent
    pages = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("models/*/CARD.md")]
    assert len(pages) >= 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert link.startswith("http") or (page.parent / link).exists(), (page.name, link)
        for path in re.findall(r"`([\w./-]+/[\w-]+\.(?:md|toml|py|npz))`", text):
            assert (root / path).exists() or (root / "nicodec" / path).exists(), (page.name, path)
