"""Good input: names, folders, streams, batches, metadata, reports."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.cli_helpers import encoded, photograph


class Stream:
    """Standard input made of bytes."""

    def __init__(self, data, terminal=False):
        self.buffer = io.BytesIO(data)
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def test_one_picture_there_and_back(run, place):
    photograph().save("photo.png")
    result = run("compress", "photo.png", "--codec", "tiny")
    assert (result.code, result.out) == (0, b"")
    assert result.err.startswith("photo.png -> photo.nic: 64x48, ")
    assert "quality 50" in result.err
    assert result.err.count("\n") == 1
    result = run("decompress", "photo.nic", "-o", "back.png")
    assert (result.code, result.out) == (0, b"")
    with Image.open("back.png") as back:
        assert (back.size, back.mode) == ((64, 48), "RGB")
    assert run("decompress", "photo.nic", "--quiet", "-f") == (0, b"", "")
    assert Path("photo.png").read_bytes() == Path("back.png").read_bytes()


def test_goals_reach_the_codec(run, place):
    photograph().save("photo.png")
    run("compress", "photo.png", "--codec", "tiny", "--size", "0.3kB")
    assert Path("photo.nic").stat().st_size <= 300
    run("compress", "photo.png", "--codec", "tiny", "--bpp", "0.6", "-f")
    assert Path("photo.nic").stat().st_size <= 0.6 * 64 * 48 / 8
    run("compress", "photo.png", "--codec", "tiny", "-q", "12.5", "-f")
    assert json.loads(run("info", "--json", "photo.nic").out)["quality"] == 12.5


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("40000", 40000), ("40kB", 40000), ("40k", 40000), ("40 KiB", 40960), ("40kib", 40960),
        ("1.5MB", 1_500_000), (".5m", 500_000), ("2GiB", 2 << 30), ("7b", 7),
    ],
)  # fmt: skip
def test_sizes_have_units(text, count):
    from nicodec_cli.options import parse_bytes

    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "kB", "4 0", "-3", "1e3", "3 kBit", "0", "0.2", "nan"])
def test_what_is_no_size_is_refused(text):
    from nicodec_cli.console import UsageError
    from nicodec_cli.options import parse_bytes

    with pytest.raises(UsageError, match="give"):
        parse_bytes(text)


def test_a_folder_keeps_its_tree_and_its_other_files(run, place):
    for name in ("in/a.png", "in/sub/deep/b.JPG", "in/.hidden/c.png", "in/._a.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        photograph().save(name, "PNG")
    Path("in/notes.txt").write_text("not a picture")
    Path("out").mkdir()
    result = run("compress", "-r", "in", "-o", "out", "--codec", "tiny")
    assert result.code == 0
    found = {str(p.relative_to(place / "out")) for p in Path("out").absolute().rglob("*.*")}
    assert found == {"a.nic", str(Path("sub/deep/b.nic"))}
    head, *rows, total, count, other, hidden = result.err.splitlines()
    assert head.split() == ["in", "out", "bpp", "ratio", "time"]
    assert len(rows) == 2
    assert total.split()[0] == "all"
    assert count == "5 files: 2 done, 3 left out:"
    assert (other, hidden) == ("  1 other file (.txt)", "  2 hidden files")
    assert run("decompress", "-r", "out", "--format", "jpg", "--quiet") == (0, b"", "")
    assert Path("out/sub/deep/b.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_a_batch_goes_on_after_a_bad_file(run, place):
    for name in ("a", "c"):
        photograph().save(f"{name}.png")
    Path("b.png").write_bytes(b"bad")
    result = run("compress", "a.png", "b.png", "c.png", "--codec", "tiny")
    assert result.code == 1
    assert result.err.startswith("nicodec: error: b.png: ")
    assert result.err.endswith("3 files: 2 done, 1 failed (see above)\n")
    assert sorted(p.name for p in Path().glob("*.nic")) == ["a.nic", "c.nic"]
    result = run("compress", "a.png", "c.png", "--codec", "tiny")
    assert result.code == 7  # all failed for one cause
    Path("c.nic").unlink()
    assert run("compress", "a.png", "b.png", "--codec", "tiny").code == 1  # two causes


def test_standard_input_and_output(run, place, nic, monkeypatch):
    monkeypatch.setattr("sys.stdin", Stream(encoded(photograph())))
    result = run("compress", "-", "--codec", "tiny")
    assert result.code == 0
    assert result.out == nic
    assert result.err.startswith("standard input -> standard output: 64x48")
    monkeypatch.setattr("sys.stdin", Stream(nic))
    result = run("decompress", "-", "--quiet")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(b"\x89PNG")
    monkeypatch.setattr("sys.stdin", Stream(nic))
    assert run("decompress", "-", "-o", "-", "--format", "jpg").out.startswith(b"\xff\xd8")
    monkeypatch.setattr("sys.stdin", Stream(nic))
    run("decompress", "-", "-o", "x.webp")
    assert Path("x.webp").read_bytes()[8:12] == b"WEBP"
    monkeypatch.setattr("sys.stdin", Stream(nic))
    assert run("info", "-").code == 0
    assert list(place.iterdir()) == [place / "x.webp"]


@pytest.mark.parametrize(("command", "code"), [("compress", 3), ("decompress", 4)])
def test_empty_standard_input_is_told(run, monkeypatch, command, code):
    monkeypatch.setattr("sys.stdin", Stream(b""))
    result = run(command, "-", *(["--codec", "tiny"] if command == "compress" else []))
    assert (result.code, result.out) == (code, b"")
    assert "standard input: " in result.err
    assert "empty" in result.err


def test_terminals_get_and_give_no_bytes(run, place, nic, monkeypatch):
    Path("x.nic").write_bytes(nic)
    monkeypatch.setattr("sys.stdin", Stream(b"", terminal=True))
    result = run("decompress", "-")
    assert (result.code, result.out) == (2, b"")
    assert "standard input is a terminal" in result.err
    monkeypatch.setattr("nicodec_cli.tasks.sys.stdout", Stream(b"", terminal=True))
    result = run("decompress", "x.nic", "-o", "-")
    assert result.code == 2
    assert "standard output is a terminal" in result.err


def test_metadata_is_kept_unless_stripped(run, place):
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    icc = encoded_profile()
    photograph().save("photo.jpg", exif=exif, icc_profile=icc, xmp=b"<x:xmpmeta/>")

    def sections(*options):
        run("compress", "photo.jpg", "--codec", "tiny", "-f", *options)
        return set(json.loads(run("info", "--json", "photo.nic").out)["sections"]) & {"exif", "xmp", "icc"}

    assert sections() == {"exif", "xmp", "icc"}
    assert sections("--strip", "exif", "--strip", "xmp") == {"icc"}
    assert sections("--strip", "all") == set()
    sections()
    run("decompress", "photo.nic", "-o", "back.png")
    with Image.open("back.png") as back:
        assert back.getexif()[0x0110] == "a camera"
        assert back.info["icc_profile"] == icc


def encoded_profile():
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_what_is_lost_is_warned_of_even_when_quiet(run, place):
    Image.fromarray(np.random.default_rng(0).integers(0, 65536, (64, 64), np.uint16)).save("deep.png")
    result = run("compress", "deep.png", "--codec", "tiny", "--quiet")
    assert result.code == 0
    said = "The picture's 16 bits a channel are compressed in full; .nic files decode to 8 bits."
    assert result.err == f"nicodec: warning: deep.png: {said}\n"
    facts = json.loads(run("info", "--json", "deep.nic").out)
    assert facts["grey"] is True


def test_info_as_text_and_as_json_lines(run, place, nic):
    for name in ("a.nic", "b.nic"):
        Path(name).write_bytes(nic)
    lines = run("info", "--json", "a.nic", "b.nic").out.splitlines()
    facts = [json.loads(line) for line in lines]
    assert [fact["file"] for fact in facts] == ["a.nic", "b.nic"]
    assert facts[0]["width"] == 64
    assert facts[0]["model"] == "tiny"
    assert facts[0]["bpp"] == 8 * len(nic) / (64 * 48)
    assert sum(facts[0]["sections"].values()) == facts[0]["file_bytes"] == len(nic)
    text = run("info", "a.nic").out.decode()
    assert "64x48, RGB" in text
    assert "tiny (" in text


def test_models_are_listed(run, models):
    assert b"tiny" in run("models").out
    facts = [json.loads(line) for line in run("models", "--json").out.splitlines()]
    tiny = next(fact for fact in facts if fact["name"] == "tiny")
    assert tiny["folder"] == str(models / "tiny")
    assert tiny["bytes"] == (models / "tiny" / "weights.safetensors").stat().st_size


def test_train_passes_its_options_on(run, place, monkeypatch):
    import sys
    import types

    calls = []
    module = types.ModuleType("nicodec.training.run")
    module.train_recipe = lambda *arguments, **options: calls.append((arguments, options))
    monkeypatch.setitem(sys.modules, "nicodec.training.run", module)
    arguments = ["train", "recipe.toml", "--data", "d", "--data", "e", "--out", "r"]
    assert run(*arguments, "--minutes", "2.5", "--init", "w").code == 0
    ((path,), options) = calls.pop()
    assert path == Path("recipe.toml")
    options.pop("say")
    assert options == {
        "data": [Path("d"), Path("e")], "out": Path("r"), "init": "w", "minutes": 2.5, "steps": None
    }  # fmt: skip
    assert run(*arguments).code == 0
    assert run(*arguments, "--minutes", "2", "--steps", "3").code == 2
    assert run("train", "recipe.toml", "--data", "d").code == 2  # no --out: nothing is written over
    assert len(calls) == 1


@pytest.mark.parametrize("harm", ["cut", "emptied", "replaced"])
def test_models_tells_broken_weights(run, tmp_path, models, monkeypatch, harm):
    shutil.copytree(models / "tiny", tmp_path / "models" / "harmed")
    weights = tmp_path / "models" / "harmed" / "weights.safetensors"
    data = weights.read_bytes()
    weights.write_bytes({"cut": data[:-100], "emptied": b"", "replaced": b"x" * len(data)}[harm])
    monkeypatch.setenv("NICODEC_MODELS", str(tmp_path / "models"))
    result = run("models")
    assert result.code == 6
    assert b"broken" in result.out
    assert result.err.startswith("nicodec: error: model harmed: ")
    assert result.err.count("\n") == 1
    facts = [json.loads(line) for line in run("models", "--json").out.splitlines()]
    whole = {fact["name"]: fact["fault"] is None for fact in facts}
    assert {"hyperprior", "splat", "harmed"} <= set(whole)
    assert [name for name, is_whole in whole.items() if not is_whole] == ["harmed"]


def test_models_tells_replaced_weights_of_the_package(run, tmp_path, models, monkeypatch):
    (tmp_path / "hyperprior").mkdir()
    monkeypatch.setattr("nicodec.zoo._package_folder", lambda: tmp_path)
    result = run("models")
    assert result.code == 6
    assert "weights.safetensors is missing" in result.err
    shutil.copy(models / "tiny" / "weights.safetensors", tmp_path / "hyperprior")
    result = run("models")
    assert result.code == 6
    assert "was changed since it was released" in result.err


def test_demo_compares_with_jpeg(run, place):
    photograph(96, 64).save("mine.png")
    result = run("demo", "mine.png", "--codec", "tiny", "-o", "shown")
    assert (result.code, result.err) == (0, "")
    names = {"original.png", "nicodec.png", "jpeg.png", "photo.nic", "photo.jpg"}
    assert {p.name for p in Path("shown").iterdir()} == names
    assert result.out.count(b" dB") == 2
    assert run("demo", "mine.png", "--codec", "tiny", "-o", "shown").code == 0  # again, over the old files


def test_demo_says_what_to_install_where_there_is_no_photograph(run, monkeypatch):
    monkeypatch.setattr("nicodec_cli.demo.SAMPLES", (("no_such_package", "x.png"),))
    result = run("demo", "--codec", "tiny")
    assert result.code == 1
    assert "pip install '.[eval]'" in result.err


def test_eval_hands_its_arguments_on(run, monkeypatch):
    import sys
    import types
    from typing import Annotated

    import typer

    calls = []

    def evaluate(
        dataset: str,
        codec: Annotated[list[str] | None, typer.Option("-c", "--codec")] = None,
        limit: int = 0,
    ) -> None:
        """Evaluate."""
        calls.append((dataset, codec, limit))

    module = types.ModuleType("nicodec_cli.evaluate")
    module.evaluate = evaluate
    monkeypatch.setitem(sys.modules, "nicodec_cli.evaluate", module)
    assert run("eval", "-c", "webp", "kodak", "--limit", "2", "-c", "avif:speed=2").code == 0
    assert calls == [("kodak", ["webp", "avif:speed=2"], 2)]
    result = run("eval", "kodak", "--limits", "2")
    assert result.code == 2
    assert "No such option: --limits" in result.err
    monkeypatch.setitem(sys.modules, "nicodec_cli.evaluate", None)
    assert "pip install '.[eval]'" in run("eval", "kodak").err


def test_effort_makes_another_file_of_the_same_picture(run, place):
    photograph().save("photo.png")
    assert run("compress", "photo.png", "--codec", "hyperprior", "-q", "70").code == 0
    plain = Path("photo.nic").read_bytes()
    assert run("compress", "photo.png", "--codec", "hyperprior", "-q", "70", "-e", "9", "-f").code == 0
    assert Path("photo.nic").read_bytes() != plain
    assert run("decompress", "photo.nic", "-o", "back.png").code == 0
    assert run("compress", "photo.png", "-e", "10", "-f").code == 2
    refused = run("compress", "photo.png", "--codec", "splat", "-e", "9", "-f")
    assert refused.code == 2
    assert "--effort is not for --codec splat" in refused.err


def test_splats_are_fitted_and_drawn_at_any_size(run, place):
    photograph().save("photo.png")
    fitted = run(
        "compress", "photo.png", "--codec", "splat", "--gaussians", "30", "--iterations", "10", "--preview", "fit"
    )
    assert (fitted.code, fitted.out) == (0, b"")
    assert sorted(path.name for path in Path("fit").iterdir()) == ["photo-0001.png", "photo-0002.png"]
    assert json.loads(run("info", "--json", "photo.nic").out)["model"] == "splat"
    for options, size in ((["--scale", "2"], (128, 96)), (["--draw", "30x20"], (30, 20)), ([], (64, 48))):
        assert run("decompress", "photo.nic", "-f", "-o", "back.png", *options).code == 0
        with Image.open("back.png") as back:
            assert back.size == size


def test_options_of_splats_are_refused_elsewhere(run, place):
    photograph().save("photo.png")
    result = run("compress", "photo.png", "--codec", "tiny", "--gaussians", "30")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--gaussians is not for --codec tiny; its own flags: --effort" in result.err
    run("compress", "photo.png", "--codec", "tiny")
    assert "one size" in run("decompress", "photo.nic", "-f", "--scale", "2").err
    assert run("decompress", "photo.nic", "--scale", "2", "--draw", "3x3").code == 2
    assert run("decompress", "photo.nic", "--draw", "3by3").code == 2


def test_a_number_of_gaussians_stands_in_place_of_the_qualitys(run, place):
    from nicodec.drawing import Drawing

    photograph().save("photo.png")
    few = ["--gaussians", "9", "--iterations", "3"]
    assert run("compress", "photo.png", "--codec", "splat", "-q", "40", *few).code == 0
    assert len(Drawing.open("photo.nic").gaussians.values) == 9
    assert json.loads(run("info", "--json", "photo.nic").out)["quality"] == 40
