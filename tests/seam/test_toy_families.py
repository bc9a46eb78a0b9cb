"""The proof of the seam: families of another package work everywhere, and nothing in nicodec knows of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ..conftest import smooth_picture

PACKAGE = Path(__file__).parent / "package"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained toy, a picture and a clip."""
    place = tmp_path_factory.mktemp("toy")
    (place / "pictures").mkdir()
    for number in range(3):
        picture = Image.fromarray(smooth_picture(64, 96, number))
        picture.save(place / "pictures" / f"{number}.png")
    (place / "recipe.toml").write_text(
        'name = "mosaic-small"\ncodec = "mosaic"\n\n[model]\nsides = [16, 4]\n\n'
        '[objective]\nname = "toy"\nrate = 0.1\n\n[run]\nsteps = 3\n'
    )
    nicodec(place, "train", "recipe.toml", "--data", "pictures", "--out", "models/mosaic-small")
    return place


def environment(place: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "NICODEC_MODELS": str(place / "models"), "COLUMNS": "200"}


def run(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=place, env=environment(place), capture_output=True, text=True, timeout=300, check=False
    )


def python(place: Path, code: str) -> str:
    lines = code.strip("\n").split("\n")
    margin = len(lines[0]) - len(lines[0].lstrip())
    done = run(place, sys.executable, "-W", "error", "-c", "\n".join(line[margin:] for line in lines))
    assert done.returncode == 0, done.stderr
    return done.stdout


def nicodec(place: Path, *arguments: str, code: int = 0) -> str:
    done = run(place, sys.executable, "-m", "nicodec_cli", *arguments)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_training_changed_the_weights(place: Path) -> None:
    out = python(
        place,
        """
        import nicodec
        print(float(nicodec.load("mosaic-small").codec.brightness))
        """,
    )
    assert float(out) != 1.0


def test_the_api_takes_the_family_and_its_options(place: Path) -> None:
    python(
        place,
        """
        import warnings
        import numpy as np, nicodec, torch
        from nicodec.errors import QualityError, StreamError
        picture = np.full((50, 70, 3), 90, np.uint8)
        data = nicodec.compress(picture, 80, codec="mosaic-small", levels=2, gain=1.0, mirror=False, name="fancy")
        assert nicodec.decompress(data).size == (70, 50)
        assert abs(np.asarray(nicodec.decompress(data)).astype(int) - 90).max() < 20
        for wrong in ({"levels": 5}, {"gain": 0}, {"mirror": 1}, {"name": "no"}, {"effort": 3}):
            try:
                nicodec.compress(picture, 80, codec="mosaic-small", **wrong)
                raise SystemExit(f"{wrong} was taken")
            except QualityError:
                pass
        cut = data[: data.rindex(data[-20:])]
        try:
            nicodec.decompress(cut)
            raise SystemExit("a cut file was taken")
        except StreamError:
            pass
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert nicodec.decompress(cut, partial=True).size == (70, 50)
        assert "drawn from the first 1 of its 2 levels" in str(caught[0].message)
        assert nicodec.info(data).model == "mosaic-small"
        model = nicodec.load("mosaic-small")
        files = model.encode_tensor(torch.rand(3, 3, 40, 30), [10, 50, 90], levels=1)
        assert model.decode_tensor(files).shape == (3, 3, 40, 30)
        assert len(nicodec.compress(picture, max_bytes=600, codec="mosaic-small")) <= 600
        """,
    )


def test_pillow_saves_and_opens_it(place: Path) -> None:
    python(
        place,
        """
        import nicodec.pillow
        from PIL import Image
        image = Image.open("pictures/0.png")
        image.save("one.nic", codec="mosaic-small", quality=80, levels=1)
        image.save("two.nic", codec="mosaic-small", quality=80)
        import os
        assert os.path.getsize("one.nic") < os.path.getsize("two.nic")
        assert Image.open("one.nic").convert("RGB").size == image.size
        try:
            image.save("three.nic", codec="mosaic-small", levels=7)
            raise SystemExit("levels=7 was taken")
        except ValueError:
            pass
        """,
    )


def test_the_command_line_has_its_flags(place: Path) -> None:
    text = nicodec(place, "compress", "--help")
    assert "--levels" in text
    assert "How many levels are written" in text
    text = nicodec(
        place, "compress", "pictures/0.png", "--codec", "mosaic-small", "-L", "1", "--mirror", "-o", "a.nic"
    )
    assert "96x64" in text
    assert json.loads(nicodec(place, "info", "--json", "a.nic"))["model"] == "mosaic-small"
    nicodec(place, "decompress", "a.nic", "-o", "a.png")
    mirrored = np.asarray(Image.open(place / "a.png").convert("RGB"), dtype=float)[:, ::-1]
    original = np.asarray(Image.open(place / "pictures" / "0.png"), dtype=float)
    assert np.corrcoef(mirrored.ravel(), original.ravel())[0, 1] > 0.6
    nicodec(place, "compress", "pictures/0.png", "--codec", "mosaic-small", "-e", "3", "-o", "b.nic", code=2)
    nicodec(place, "compress", "pictures/0.png", "--levels", "1", "-o", "b.nic", code=2)
    assert "mosaic-small" in nicodec(place, "models")


def test_it_is_evaluated(place: Path) -> None:
    pytest.importorskip("matplotlib")
    nicodec(
        place,
        "eval",
        "pictures",
        *("-c", "nicodec-mosaic-small:levels=1,settings=20/80"),
        *("-c", "nicodec-blink:keys_only=true,settings=20/80"),
        *("-m", "psnr", "--progressive", "0", "--processes", "1", "-o", "report"),
    )
    results = (place / "report" / "results.json").read_text()
    assert "nicodec-mosaic-small-levels1" in results
    assert "nicodec-blink" in results


def test_what_it_gives_while_it_arrives_is_evaluated(place: Path) -> None:
    pytest.importorskip("matplotlib")
    said = nicodec(
        place,
        "eval",
        "pictures",
        *("-c", "nicodec-mosaic-small:settings=20/80", "--processes", "1", "--limit", "1"),
        *("-m", "psnr", "--speed-pictures", "0", "--viewer", "0", "-o", "arriving"),
    )
    assert "PSNR of the first bytes of a file, mean of 1 pictures" in said
    results = json.loads((place / "arriving" / "results.json").read_text())
    names = [file["codec"] for file in results["cut_files"]]
    assert names[:2] == ["nicodec-mosaic-small", "jpeg"]
    assert not results["failures"]
    own = [cut["psnr"] for cut in results["cut_files"][0]["cuts"]]
    assert own[0] is None
    assert len(set(own)) == 3  # nothing, one level, two
    report = (place / "arriving" / "report.html").read_text()
    assert 'id="progressive-section"' in report
    assert report.count('src="data:image/avif;base64,') >= 5
    assert (place / "arriving" / "progressive.pdf").exists()


def test_clips_go_through_everything(place: Path) -> None:
    python(
        place,
        """
        import io, numpy as np, nicodec
        from nicodec.errors import InputError, QualityError, TruncatedError
        from nicodec.media.clips import to_rgb, from_rgb
        from nicodec.media.clip_writing import open_sink
        frames = [np.full((34, 50, 3), 20 * n, np.uint8) for n in range(10)]
        data = nicodec.compress_video(frames, quality=100, codec="blink")
        about = nicodec.info(data)
        assert (about.frames, about.gop_lengths, about.model) == (10, (4, 4, 2), "blink")
        again = [to_rgb(frame) for frame in nicodec.VideoReader(io.BytesIO(data))]
        assert len(again) == 10 and max(abs(a.astype(int) - b).max() for a, b in zip(again, frames)) < 12
        reader = nicodec.VideoReader(io.BytesIO(data))
        reader.seek(0.25)
        assert [frame.pts for frame in reader] == [4, 5, 6, 7, 8, 9]
        keys = nicodec.compress_video(frames, quality=100, codec="blink", keys_only=True)
        assert len(nicodec.info(keys).gop_lengths) == 10
        for wrong, kind in (
            (lambda: nicodec.compress_video(frames, codec="blink", keys_only=3), QualityError),
            (lambda: nicodec.compress_video(frames, codec="hyperprior"), InputError),
            (lambda: nicodec.compress(frames[0], codec="blink"), InputError),
            (lambda: nicodec.decompress(data), InputError),
            (lambda: list(nicodec.VideoReader(io.BytesIO(data[:-40]))), TruncatedError),
        ):
            try:
                wrong()
                raise SystemExit("taken")
            except kind:
                pass
        clip = from_rgb(frames)
        with open("clip.mkv", "wb") as file:
            sink = open_sink(file, ".mkv", clip.format, "ffv1")
            for frame in clip:
                sink.write(frame)
            sink.close()
        """,
    )
    text = nicodec(place, "compress", "clip.mkv", "--codec", "blink", "--keys-only", "-q", "90")
    assert "10 frames" in text
    assert "10 frames" in nicodec(place, "info", "clip.nic")
    nicodec(place, "decompress", "clip.nic", "-o", "back.mkv")
    python(
        place,
        """
        from nicodec.media.clip_reading import ClipFile
        assert len(list(ClipFile("back.mkv"))) == 10
        import nicodec.pillow
        from PIL import Image
        try:
            Image.open("clip.nic").load()
            raise SystemExit("a clip was opened as a picture")
        except OSError as error:
            assert "clip" in str(error)
        """,
    )
    nicodec(place, "compress", "clip.mkv", "--codec", "mosaic-small", "-o", "x.nic", code=3)


def test_nothing_in_nicodec_knows_the_families() -> None:
    for room in ("nicodec", "cli", "kodak_eval"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8").lower()
            assert "mosaic" not in text, path
            assert "blink" not in text, path
