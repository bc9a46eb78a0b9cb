"""Pictures in levels, by a toy family that writes them: the program and the API, and nothing in them knows of it.

Many commands run in one process, for each would load torch anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..conftest import smooth_picture
from .test_toy_families import nicodec, python

COMMANDS = """
        import contextlib, io, os, warnings
        from pathlib import Path
        import numpy as np
        import nicodec
        from nicodec.errors import CorruptError, QualityError, TruncatedError
        from nicodec_cli.main import run
        from PIL import Image

        def nic(*arguments, code=0):
            said = io.StringIO()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                found = run([str(argument) for argument in arguments])
            assert found == code, (arguments, found, said.getvalue())
            return said.getvalue()

        def pixels(name):
            return np.asarray(Image.open(name).convert("RGB")).astype(int)

        def refused(kind, call):
            try:
                call()
            except kind as error:
                return str(error)
            raise SystemExit("was taken")

        original = pixels("photo.png")
        data = Path("photo.nic").read_bytes()
        size, ends = len(data), nicodec.info(data).levels
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a toy of four levels, a picture with metadata, and its file."""
    place = tmp_path_factory.mktemp("levels")
    image = Image.fromarray(smooth_picture(144, 200, 3))
    image.putalpha(Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (144, 1))))
    metadata = PngInfo()
    metadata.add_itxt("XML:com.adobe.xmp", "<x>metadata</x>")
    image.save(place / "photo.png", pnginfo=metadata)
    python(
        place,
        """
        from pathlib import Path
        from nicodec.codecs import build_codec
        from nicodec.zoo import write_model
        from nicodec_cli.main import run
        write_model(build_codec("mosaic", {"sides": (16, 8, 4, 2)}), "mosaic", Path("models/levels"))
        assert run(["compress", "photo.png", "--codec", "levels", "-q", "80", "-L", "4"]) == 0
        """,
    )
    return place


def test_the_real_program_truncates_and_decodes_less_than_all(place: Path) -> None:
    assert "levels   4, whole at byte " in nicodec(place, "info", "photo.nic")
    assert " -> photo.15kB.nic: 200x144, " in nicodec(place, "truncate", "photo.nic", "--size", "15 kB")
    nicodec(place, "decompress", "photo.15kB.nic", "--upto", "60%", "-o", "program.png")
    with Image.open(place / "program.png") as image:
        assert image.size == (200, 144)


def test_more_bytes_give_a_better_picture(place: Path) -> None:
    python(
        place,
        COMMANDS
        + """
        assert len(ends) == 4 and ends[-1] == size - 4
        errors = []
        for count, end in enumerate(ends, 1):
            found = []
            for form in (f"{count}", f"{end}B", f"{100 * (end + 0.6) / size:.3f}%"):
                nic("decompress", "photo.nic", "--upto", form, "-o", "part.png", "-f")
                found.append(np.abs(pixels("part.png") - original).mean())
            assert len(set(found)) == 1
            errors.append(found[0])
        assert errors == sorted(set(errors), reverse=True)
        nic("decompress", "photo.nic", "-o", "whole.png", "-f")
        assert np.abs(pixels("whole.png") - original).mean() == errors[-1]
        for wrong in ("", "0", "0%", "100.1%", "-1", "1.5", "5 levels", "0kB", "10B", "0.001%"):
            said = nic("decompress", "photo.nic", "--upto", wrong, "-o", "none.png", code=2)
            assert said.count("\\n") == 1 and "give" in said, said
        assert not Path("none.png").exists()
        """,
    )


def test_a_cut_file_gives_the_best_picture_of_its_bytes(place: Path) -> None:
    python(
        place,
        COMMANDS
        + """
        Path("cut.nic").write_bytes(data[: ends[2] - 1])
        assert "or ask for what is whole" in nic("decompress", "cut.nic", "-o", "cut.png", code=4)
        said = nic("decompress", "cut.nic", "--partial", "-o", "cut.png", "-f")
        assert "warning: cut.nic: drawn from the first 2 of its 4 levels" in said
        nic("decompress", "photo.nic", "--upto", "2", "-o", "part.png", "-f")
        assert (pixels("cut.png") == pixels("part.png")).all()
        assert "warning" not in nic("decompress", "cut.nic", "--partial", "--upto", "1", "-o", "cut.png", "-f")
        Path("cut.nic").write_bytes(data[: ends[0] - 1])
        assert "first packet is lost" in nic("decompress", "cut.nic", "--partial", "-o", "none.png", code=4)
        nic("decompress", "cut.nic", "--partial", "--upto", "1", "-o", "none.png", code=4)
        assert not Path("none.png").exists()
        """,
    )


def test_truncate_makes_smaller_whole_files(place: Path) -> None:
    python(
        place,
        COMMANDS
        + """
        nic("truncate", "photo.nic", "--size", ends[1] + 4)
        name = f"photo.{ends[1] + 4}.nic"
        assert nicodec.info(name).levels == ends[:2] and Path(name).stat().st_size == ends[1] + 4
        nic("decompress", name, "-o", "short.png", "-f")
        nic("decompress", "photo.nic", "--upto", "2", "-o", "part.png", "-f")
        assert Path("short.png").read_bytes() == Path("part.png").read_bytes()
        with Image.open("short.png") as short:
            short.load()
        assert short.mode == "RGBA" and short.info["xmp"] == b"<x>metadata</x>"

        nic("truncate", "photo.nic", "--size", size, "-o", "same.nic")
        assert Path("same.nic").read_bytes() == data
        nic("truncate", "photo.nic", "--size", "9MB", "-o", "same.nic", code=7)
        nic("truncate", "photo.nic", "--size", size - 1, "--strip", "all", "-o", "bare.nic")
        assert len(nicodec.info("bare.nic").levels) == 4
        assert nicodec.info("bare.nic").sections.keys() == {"header", "alpha", "packets", "trailer"}

        least = ends[0] + 4
        said = nic("truncate", "photo.nic", "--size", least - 1, "-o", "none.nic", code=2)
        assert f"photo.nic: {least - 1} bytes cannot be reached" in said and f"have {least}" in said
        assert "not a size" in nic("truncate", "photo.nic", "--size", "small", "-o", "none.nic", code=2)
        Path("broken.nic").write_bytes(data[:-1])
        nic("truncate", "broken.nic", "--size", "1MB", "-o", "none.nic", code=4)
        assert not Path("none.nic").exists()
        Path("stored").mkdir()
        Path("stored/photo.nic").write_bytes(data)
        nic("truncate", "-r", "stored", "--size", least, "-o", "small")
        assert len(nicodec.info("small/photo.nic").levels) == 1
        """,
    )


def test_the_api_decodes_parts_and_what_still_arrives(place: Path) -> None:
    python(
        place,
        COMMANDS
        + """
        model = nicodec.load("levels")
        expected = [np.asarray(nicodec.decompress(data, upto=count)) for count in (1, 2, 3, 4)]
        assert (np.asarray(model.decompress(data, upto=f"{ends[1]} B")) == expected[1]).all()
        assert (np.asarray(nicodec.decompress(nicodec.truncate("photo.nic", ends[2] + 4))) == expected[2]).all()
        assert "xmp" not in nicodec.info(nicodec.truncate(data, 10**9, strip=["xmp"])).sections
        for wrong in (0, 1.0, "3 %%", True):
            refused(QualityError, lambda: nicodec.decompress(data, upto=wrong))
        for strip in (["all"], "icc"):
            refused(QualityError, lambda: nicodec.truncate(data, 10**9, strip=strip))
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

        decoder = nicodec.ProgressiveDecoder(model=model)
        decoder.feed(data[:-1])
        refused(TruncatedError, decoder.finish)
        assert (np.asarray(decoder.image) == expected[3]).all()
        decoder = nicodec.ProgressiveDecoder()
        decoder.feed(data[: ends[1] - 1])
        refused(CorruptError, lambda: decoder.feed(bytes([data[ends[1] - 1] ^ 1]) + data[ends[1] :]))
        assert (np.asarray(decoder.image) == expected[0]).all()
        """,
    )
