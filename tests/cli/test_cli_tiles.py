"""Large pictures on the command line; here "large" begins with few pixels."""

import json

import numpy as np
import pytest
from PIL import Image

from nicodec import container
from nicodec.codecs import tiling
from tests.cli.cli_helpers import photograph


@pytest.fixture
def large(run, monkeypatch):
    """A file of six tiles, photo.nic, and the same decoded, photo.png."""
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 2**14)
    monkeypatch.setattr(tiling, "TILE", 128)
    photograph(300, 200).save("source.png")
    assert run("compress", "source.png", "--codec", "tiny", "-o", "photo.nic").code == 0
    assert run("decompress", "photo.nic").code == 0
    with open("photo.nic", "rb") as file:
        return file.read()


def test_info_tells_tiles(run, large):
    assert "tiles    6" in run("info", "photo.nic").out.decode()
    found = json.loads(run("info", "--json", "photo.nic").out)
    assert (found["tiles"], found["packets"]) == (6, 6)


def test_a_crop(run, large):
    assert run("decompress", "photo.nic", "--crop", "100,50,120,80", "-o", "part.png").code == 0
    with Image.open("part.png") as part, Image.open("photo.png") as whole:
        assert np.array_equal(np.asarray(part), np.asarray(whole)[50:130, 100:220])


@pytest.mark.parametrize("crop", ["1,2,3", "0,0,0,5", "-1,0,4,4", "a,b,c,d", "250,0,100,100"])
def test_a_wrong_crop(run, large, crop):
    result = run("decompress", "photo.nic", f"--crop={crop}", "-o", "part.png")
    assert result.code == 2
    assert "crop" in result.err


def test_damage_is_named(run, large):
    packet = container.read_picture(large).packets[4]
    place = large.index(packet.data) + 3
    with open("broken.nic", "wb") as file:
        file.write(large[:place] + bytes([large[place] ^ 1]) + large[place + 1 :])
    result = run("decompress", "broken.nic")
    assert result.code == 4
    assert "packet 4 of 6" in result.err
    result = run("decompress", "broken.nic", "--partial")
    assert result.code == 0
    assert "1 of its parts" in result.err
    assert "at 64,128" in result.err or "at 128,128" in result.err
    with Image.open("broken.png") as found, Image.open("photo.png") as whole:
        assert np.array_equal(np.asarray(found)[:60, :60], np.asarray(whole)[:60, :60])
