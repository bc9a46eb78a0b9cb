"""Pictures in levels, by a toy family that writes them: the program and the API, and nothing in them knows of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ..conftest import smooth_picture
from .test_toy_families import nicodec, python


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a toy of four levels, a picture with metadata, and its file."""
    place = tmp_path_factory.mktemp("levels")
    python(
        place,
        """
        from pathlib import Path
        from nicodec.codecs import build_codec
        from nicodec.zoo import write_model
        write_model(build_codec("mosaic", {"sides": (16, 8, 4, 2)}), "mosaic", Path("models/levels"))
        """,
    )
    image = Image.fromarray(smooth_picture(144, 200, 3))
    image.putalpha(Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (144, 1))))
    image.save(place / "photo.png", xmp=b"<x>metadata</x>")
    nicodec(place, "compress", "photo.png", "--codec", "levels", "-q", "80", "-L", "4")
    return place


def levels_of(place: Path, name: str = "photo.nic") -> list[int]:
    return list(json.loads(nicodec(place, "info", "--json", name))["levels"])


def error_of(place: Path, name: str) -> float:
    """Mean absolute difference of the decoded picture."""
    decoded = np.asarray(Image.open(place / name).convert("RGB"), dtype=float)
    return float(np.abs(decoded - np.asarray(Image.open(place / "photo.png").convert("RGB"))).mean())


def test_more_bytes_give_a_better_picture(place: Path) -> None:
    ends = levels_of(place)
    size = (place / "photo.nic").stat().st_size
    assert len(ends) == 4
    assert ends[-1] == size - 4
    assert f"levels   4, whole at byte {ends[0]}, " in nicodec(place, "info", "photo.nic")
    errors = []
    for count, end in enumerate(ends, 1):
        forms = (str(count), f"{end}B", f"{100 * (end + 0.6) / size:.3f}%")
        found = []
        for form in forms:
            nicodec(place, "decompress", "photo.nic", "--upto", form, "-o", "part.png", "-f")
            found.append(error_of(place, "part.png"))
        assert len(set(found)) == 1
        errors += found[:1]
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) == 4
    nicodec(place, "decompress", "photo.nic", "-o", "whole.png", "-f")
    assert error_of(place, "whole.png") == errors[-1]


def test_a_cut_file_gives_the_best_picture_of_its_bytes(place: Path) -> None:
    ends = levels_of(place)
    data = (place / "photo.nic").read_bytes()
    (place / "cut.nic").write_bytes(data[: ends[2] - 1])
    assert "or ask for what is whole" in nicodec(place, "decompress", "cut.nic", "-o", "cut.png", code=4)
    said = nicodec(place, "decompress", "cut.nic", "--partial", "-o", "cut.png", "-f")
    assert "warning: cut.nic: drawn from the first 2 of its 4 levels" in said
    nicodec(place, "decompress", "photo.nic", "--upto", "2", "-o", "part.png", "-f")
    assert error_of(place, "cut.png") == error_of(place, "part.png")
    said = nicodec(place, "decompress", "cut.nic", "--partial", "--upto", "1", "-o", "cut.png", "-f")
    assert "warning" not in said
    (place / "cut.nic").write_bytes(data[: ends[0] - 1])
    assert "first packet is lost" in nicodec(place, "decompress", "cut.nic", "--partial", "-o", "none.png", code=4)
    nicodec(place, "decompress", "cut.nic", "--partial", "--upto", "1", "-o", "none.png", code=4)
    assert not (place / "none.png").exists()


@pytest.mark.parametrize("upto", ["", "0", "0%", "100.1%", "-1", "1.5", "5 levels", "0kB", "10B", "0.001%"])
def test_what_upto_cannot_be_is_told(place: Path, upto: str) -> None:
    said = nicodec(place, "decompress", "photo.nic", "--upto", upto, "-o", "none.png", code=2)
    assert said.count("\n") == 1
    assert "give" in said
    assert not (place / "none.png").exists()


def test_truncate_makes_smaller_whole_files(place: Path) -> None:
    ends = levels_of(place)
    size = (place / "photo.nic").stat().st_size
    nicodec(place, "truncate", "photo.nic", "--size", f"{ends[1] + 4}")
    name = f"photo.{ends[1] + 4}.nic"
    assert levels_of(place, name) == ends[:2]
    assert (place / name).stat().st_size == ends[1] + 4
    nicodec(place, "decompress", name, "-o", "short.png", "-f")
    nicodec(place, "decompress", "photo.nic", "--upto", "2", "-o", "part.png", "-f")
    assert (place / "short.png").read_bytes() == (place / "part.png").read_bytes()  # with alpha and metadata
    assert Image.open(place / "short.png").mode == "RGBA"
    assert Image.open(place / "short.png").info["xmp"] == b"<x>metadata</x>"

    nicodec(place, "truncate", "photo.nic", "--size", f"{size}", "-o", "same.nic")
    assert (place / "same.nic").read_bytes() == (place / "photo.nic").read_bytes()
    nicodec(place, "truncate", "photo.nic", "--size", f"{size - 1}", "--strip", "all", "-o", "bare.nic")
    assert len(levels_of(place, "bare.nic")) == 4
    nicodec(place, "decompress", "bare.nic", "-o", "bare.png")
    assert "xmp" not in Image.open(place / "bare.png").info
    nicodec(place, "truncate", "photo.nic", "--size", "9MB", "-o", "same.nic", code=7)

    least = ends[0] + 4
    said = nicodec(place, "truncate", "photo.nic", "--size", f"{least - 1}", "-o", "none.nic", code=2)
    assert f"photo.nic: {least - 1} bytes cannot be reached" in said
    assert f"have {least}" in said
    assert "not a size" in nicodec(place, "truncate", "photo.nic", "--size", "small", "-o", "none.nic", code=2)
    (place / "broken.nic").write_bytes((place / "photo.nic").read_bytes()[:-1])
    nicodec(place, "truncate", "broken.nic", "--size", "1MB", "-o", "none.nic", code=4)
    assert not (place / "none.nic").exists()
    (place / "stored").mkdir()
    (place / "stored" / "photo.nic").write_bytes((place / "photo.nic").read_bytes())
    nicodec(place, "truncate", "-r", "stored", "--size", f"{least}", "-o", "small")
    assert len(levels_of(place, "small/photo.nic")) == 1


def test_the_api_decodes_parts_and_what_still_arrives(place: Path) -> None:
    python(
        place,
        """
        import warnings
        import numpy as np, nicodec
        from nicodec.errors import CorruptError, QualityError, TruncatedError
        data = open("photo.nic", "rb").read()
        ends = nicodec.info(data).levels
        model = nicodec.load("levels")
        expected = [np.asarray(nicodec.decompress(data, upto=count)) for count in (1, 2, 3, 4)]
        assert (np.asarray(model.decompress(data, upto=f"{ends[1]} B")) == expected[1]).all()
        assert (np.asarray(nicodec.decompress(nicodec.truncate("photo.nic", ends[2] + 4))) == expected[2]).all()
        assert nicodec.info(nicodec.truncate(data, 10**9, strip=["xmp"])).sections.keys() == {
            "header", "alpha", "packets", "trailer"
        }
        for wrong in ({"upto": 0}, {"upto": 1.0}, {"upto": "3 %%"}, {"upto": True}):
            try:
                nicodec.decompress(data, **wrong)
                raise SystemExit(f"{wrong} was taken")
            except QualityError:
                pass
        for strip in (["all"], "icc"):
            try:
                nicodec.truncate(data, 10**9, strip=strip)
                raise SystemExit("taken")
            except QualityError:
                pass
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            nicodec.decompress(data[: ends[1]], partial=True)
        assert "first 2 of its 4 levels" in str(caught[0].message)

        for step in (1000, 37, len(data)):
            decoder, shown = nicodec.ProgressiveDecoder(), []
            for start in range(0, len(data), step):
                assert not decoder.finished
                image = decoder.feed(data[start : start + step])
                if image is not None:
                    assert (np.asarray(image) == expected[decoder.levels - 1]).all()
                    assert image is decoder.image and decoder.size == image.size
                    shown.append(decoder.levels)
            assert decoder.finish() is decoder.image and decoder.finished and decoder.bytes_fed == len(data)
            assert shown == sorted(set(shown)) and shown[-1] == 4 and (step != 37 or len(shown) == 4)

        decoder = nicodec.ProgressiveDecoder()
        decoder.feed(data[:-1])
        try:
            decoder.finish()
            raise SystemExit("taken")
        except TruncatedError:
            assert (np.asarray(decoder.image) == expected[3]).all()
        decoder = nicodec.ProgressiveDecoder()
        try:
            decoder.feed(data[: ends[1] - 1])
            decoder.feed(bytes([data[ends[1] - 1] ^ 1]) + data[ends[1] :])
            raise SystemExit("taken")
        except CorruptError:
            assert (np.asarray(decoder.image) == expected[0]).all()
        """,
    )
