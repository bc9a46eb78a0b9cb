"""Data sets: verified by pixels, downloaded from a server of our own, and what is wrong is named."""

import hashlib
import http.server
import io
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kodak_eval import datasets, download, screens
from kodak_eval.datasets import KnownSet, known_sets, load, pixels_sha256, read_pixels
from kodak_eval.errors import DatasetError
from kodak_eval.evaluation import open_dataset

KODAK = Path(__file__).parents[3] / "shared" / "data" / "kodak"


def png(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(tmp_path):
    """Serve ``tmp_path``/home and return its address."""
    home = tmp_path / "home"
    home.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(home), **kwargs)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield home, f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_kodak_is_verified():
    if not KODAK.is_dir():
        pytest.skip("the Kodak pictures are not beside the project (../shared/data/kodak)")
    known = known_sets()["kodak"]
    picture = KODAK / "kodim20.png"
    assert pixels_sha256(read_pixels(picture)) == known.pixels["kodim20"]
    assert digest(picture.read_bytes()) == next(
        file["sha256"] for file in known.files if file["url"].endswith("kodim20.png")
    )


def test_known_sets_are_complete():
    sets = known_sets()
    assert set(sets) == {"kodak", "clic-professional", "clic-mobile"}
    assert len(sets["kodak"].files) == len(sets["kodak"].pixels) == sets["kodak"].pictures == 24
    assert all(len(file["sha256"]) == 64 for known in sets.values() for file in known.files)


def test_any_folder(tmp_path):
    (tmp_path / "b.png").write_bytes(png(1))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.PNG").write_bytes(png(2))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.png").write_bytes(png(3)[:60])
    Image.new("RGBA", (8, 8)).save(tmp_path / "clear.png")
    dataset = load("mine", tmp_path)
    assert [p.name for p in dataset.pictures] == ["b", "a"]
    assert (dataset.pictures[0].width, dataset.pictures[0].height) == (30, 20)
    assert set(dataset.failures) == {"broken.png", "clear.png"}
    assert "8-bit RGB" in dataset.failures["clear.png"]
    assert not dataset.verified


def test_names_stay_apart_when_two_files_share_one(tmp_path):
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.png").write_bytes(png(0))
    assert [p.name for p in load("mine", tmp_path).pictures] == ["x/a.png", "y/a.png"]


def test_a_repacked_set_is_still_the_set_and_changed_pixels_are_not(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png(0))
    known = KnownSet("tiny", (), 1, {"a": pixels_sha256(read_pixels(tmp_path / "a.png"))}, "")
    monkeypatch.setattr(datasets, "known_sets", lambda: {"tiny": known})
    Image.open(tmp_path / "a.png").save(tmp_path / "a.bmp")
    (tmp_path / "a.png").unlink()
    assert load("tiny", tmp_path).verified
    Image.new("RGB", (30, 20)).save(tmp_path / "a.bmp")
    with pytest.raises(DatasetError, match="is not tiny: the pixels of a differ"):
        load("tiny", tmp_path)
    assert not load("tiny", tmp_path, strict=False).verified
    Image.new("RGB", (30, 20)).save(tmp_path / "b.bmp")
    with pytest.raises(DatasetError, match="is not tiny: 2 pictures, expected 1"):
        load("tiny", tmp_path)


@pytest.mark.parametrize(("make", "message"), [(False, "is no folder; --download"), (True, "holds no pictures")])
def test_no_pictures(tmp_path, make, message):
    folder = tmp_path / "set"
    if make:
        folder.mkdir()
    with pytest.raises(DatasetError, match=message):
        load("mine", folder)


def test_download_of_files_goes_on_where_it_stopped(server, tmp_path):
    home, address = server
    files = {f"{k}.png": png(k) for k in range(3)}
    for name, data in files.items():
        (home / name).write_bytes(data)
    entries = tuple({"url": f"{address}/{name}", "sha256": digest(data)} for name, data in files.items())
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "0.png").write_bytes(files["0.png"])
    (folder / "1.png").write_bytes(b"half a file")
    (home / "0.png").unlink()  # whole already: must not be asked for
    steps = []
    download.fetch(KnownSet("tiny", entries, 3, {}, ""), folder, progress=lambda *step: steps.append(step))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == files
    assert steps[-1] == (3, 3)


def test_download_of_an_archive(server, tmp_path):
    home, address = server
    with zipfile.ZipFile(home / "set.zip", "w") as pack:
        pack.writestr("valid/a.png", png(0))
        pack.writestr("valid/../../evil.png", png(1))
        pack.writestr("__MACOSX/valid/._a.png", b"")
    entry = {"url": f"{address}/set.zip", "sha256": digest((home / "set.zip").read_bytes())}
    folder = tmp_path / "set"
    download.fetch(KnownSet("tiny", (entry,), 2, {}, ""), folder)
    assert sorted(file.name for file in folder.iterdir()) == ["a.png", "evil.png"]
    (home / "set.zip").unlink()
    download.fetch(KnownSet("tiny", (entry,), 2, {}, ""), folder)  # complete: not asked for again


def test_download_of_something_else_leaves_nothing(server, tmp_path):
    home, address = server
    (home / "a.png").write_bytes(b"an error page")
    known = KnownSet("tiny", ({"url": f"{address}/a.png", "sha256": digest(png(0))},), 1, {}, "")
    with pytest.raises(DatasetError, match=r"expected .*; it was removed"):
        download.fetch(known, tmp_path / "set")
    assert list((tmp_path / "set").iterdir()) == []


def test_download_without_a_network_says_what_to_do(tmp_path):
    known = KnownSet("tiny", ({"url": "http://127.0.0.1:9/a.png", "sha256": ""},), 1, {}, "")
    with pytest.raises(DatasetError, match=r"cannot download .*Fetch it elsewhere and give its folder"):
        download.fetch(known, tmp_path / "set")


def test_screens_are_drawn_alike_twice(tmp_path):
    material = screens.own_material()
    for kind, seed in dict.fromkeys(screens.SET[::4]):
        first, again = (np.array(screens.draw(kind, seed, 192, 128, material)) for _ in range(2))
        assert np.array_equal(first, again)
        assert len(np.unique(first.reshape(-1, 3), axis=0)) > 1


def test_screens_are_a_set_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(screens, "SET", (("sheet", 1), ("code", 2)))
    found = open_dataset("screens", tmp_path / "set", fetch=False, limit=0, progress=lambda *_: None)
    assert [picture.name for picture in found.pictures] == ["code-2", "sheet-1"]
    assert all((picture.width, picture.height) == screens.SIZE for picture in found.pictures)
