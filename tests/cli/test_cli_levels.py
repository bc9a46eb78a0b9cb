"""What `truncate` and `--upto` say of files without levels; tests/seam has those with."""

from pathlib import Path

import pytest
from PIL import Image

import nicodec
from nicodec.errors import InputError, QualityError
from tests.cli.cli_helpers import photograph


def test_a_file_without_levels_is_not_made_smaller(run, place, nic):
    Path("photo.nic").write_bytes(nic)
    result = run("truncate", "photo.nic", "--size", len(nic) - 1, "-o", "small.nic")
    assert result.code == InputError.exit_code
    assert f"photo.nic: the picture has {len(nic)} bytes and no levels" in result.err
    assert "compress the original anew" in result.err
    assert not Path("small.nic").exists()
    assert run("truncate", "photo.nic", "--size", "1MB", "-o", "same.nic").code == 0
    assert Path("same.nic").read_bytes() == nic
    assert run("truncate", "photo.nic", "-o", "same.nic").code == 2  # without a size


def test_a_file_without_levels_is_decoded_as_a_whole(run, place, nic):
    Path("photo.nic").write_bytes(nic)
    result = run("decompress", "photo.nic", "--upto", "50%", "-o", "photo.png")
    assert result.code == QualityError.exit_code
    assert "photo.nic: the file has no levels" in result.err
    result = run("decompress", "missing.nic", "--upto", "much")
    assert result.code == QualityError.exit_code
    assert '"30%"' in result.err
    assert "levels" not in run("info", "photo.nic").out.decode()
    assert nicodec.info(nic).levels == ()


def test_a_file_without_levels_is_shown_when_it_is_there(place, nic):
    decoder = nicodec.ProgressiveDecoder()
    for byte in nic[:-1]:
        assert decoder.feed(bytes([byte])) is None
    assert decoder.size == (64, 48)
    image = decoder.feed(nic[-1:])
    assert image is decoder.finish()
    assert image.tobytes() == nicodec.decompress(nic).tobytes()
    with pytest.raises(nicodec.errors.CorruptError):
        decoder.feed(b"more")


@pytest.mark.filterwarnings("ignore::nicodec.alternatives.PoorFitWarning")
def test_lossless_files_keep_every_pixel(run, place):
    photograph().save("photo.png")
    assert run("compress", "photo.png", "--lossless").code == 0
    assert run("decompress", "photo.nic", "-o", "back.png").code == 0
    with Image.open("back.png") as back:
        assert back.tobytes() == photograph().tobytes()
    for contradiction in (("-q", "50"), ("--codec", "tiny"), ("--size", "1kB")):
        result = run("compress", "photo.png", "--lossless", *contradiction, "-f")
        assert (result.code, "contradict" in result.err) == (2, True)
    Path("deep.pgm").write_bytes(b"P5 2 1 65535\n" + bytes([1, 2, 3, 4]))
    result = run("compress", "deep.pgm", "--lossless")
    assert result.code == InputError.exit_code
    assert "more than 8 bits" in result.err
