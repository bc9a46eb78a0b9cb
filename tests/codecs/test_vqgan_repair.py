"""Pictures in pieces: each decodes by itself, a lost one is filled in where that is asked for, else an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import nicodec
from nicodec.codecs.codes import Piece
from nicodec.codecs.vqgan import Vqgan, VqganOptions
from nicodec.damage import DamageWarning, without_packets
from nicodec.errors import CorruptError, InputError, QualityError
from nicodec.zoo import write_model
from nicodec_cli.main import run

from ..conftest import smooth_picture
from .test_vqgan import picture_tensor, tiny_vqgan


@pytest.fixture(scope="module")
def codec() -> Vqgan:
    return tiny_vqgan()


@pytest.fixture
def model(codec: Vqgan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    write_model(codec, "vqgan", tmp_path / "models" / "tiny")
    monkeypatch.setenv("NICODEC_MODELS", str(tmp_path / "models"))
    return "tiny"


@pytest.mark.parametrize("count", [1, 2, 5, 8, 64])
def test_pieces_hold_everything_and_neighbours_apart(codec: Vqgan, count: int) -> None:
    """Fine indices once, coarse ones in several."""
    for level in codec.network.each_level():
        size = (20 * 16 * level.factor, 30 * 16 * level.factor)
        held = torch.zeros(count, 20 * 30, dtype=torch.bool)
        for number in range(count):
            held[number, Piece(number, count).places(level, size)] = True
        copies = min(count, {4: 3, 2: 2, 1: 1}[level.factor])
        assert bool((held.sum(0) == copies).all())
        assert held.sum(1).max() <= (-(-20 * 30 // count) + 30) * copies
        if count > 16 or (count > 1 and level.factor == 1):
            grid = held.view(count, 20, 30)
            assert not bool((grid[:, :, 1:] & grid[:, :, :-1]).any())
            assert not bool((grid[:, 1:] & grid[:, :-1]).any())


@pytest.mark.parametrize("count", [2, 5, 64])
def test_pieces_decode_to_the_same_picture(codec: Vqgan, count: int) -> None:
    x, quality, size = picture_tensor(128, 192, 1), torch.tensor([150]), (128, 192)
    whole = codec.decode(codec.encode(x, quality, codec.Options()), size, quality)
    pieces = codec.encode(x, quality, VqganOptions(packets=count))
    assert len(pieces[0]) == count
    assert torch.allclose(codec.decode(pieces, size, quality), whole, atol=1e-5)


def test_what_is_lost_is_filled_in_and_what_is_there_stays(codec: Vqgan) -> None:
    x, quality, size = picture_tensor(128, 192, 1), torch.tensor([150]), (128, 192)
    (pieces,) = codec.encode(x, quality, VqganOptions(packets=8))
    whole, share = codec.repair(pieces, size, 150)
    assert share == 0
    assert torch.allclose(whole, codec.decode([pieces], size, quality), atol=1e-5)
    left = [None if number in (2, 6) else piece for number, piece in enumerate(pieces)]
    repaired, share = codec.repair(left, size, 150)
    assert 0.15 < share < 0.35
    indices, known, _ = codec._read(left, size, 150)
    complete, _, _ = codec._read(pieces, size, 150)
    assert all(torch.equal(a[k], b[k]) for a, b, k in zip(indices, complete, known, strict=True))
    assert torch.isfinite(repaired).all()
    torch.testing.assert_close(repaired, codec.repair(left, size, 150)[0])


def test_files_that_lost_packets(model: str) -> None:
    picture = smooth_picture(150, 200, 3)
    data = nicodec.compress(picture, 60, codec=model, packets=10)
    whole = np.asarray(nicodec.decompress(data)).astype(int)
    damaged, lost = without_packets(data, 0.2, seed=4)
    assert len(lost) == 2
    assert len(damaged) < len(data)
    altered = bytes([*data[:-40], data[-40] ^ 1, *data[-39:]])
    for broken in (damaged, altered, data[:-20]):
        with pytest.raises(nicodec.errors.StreamError, match="--repair"):
            nicodec.decompress(broken)
    with pytest.raises(CorruptError, match="--repair"):
        nicodec.decompress(damaged, partial=True)
    with pytest.warns(DamageWarning, match="2 of 10 packets were lost: .* filled in"):
        repaired = np.asarray(nicodec.decompress(damaged, repair=True)).astype(int)
    assert repaired.shape == whole.shape
    assert np.abs(repaired - whole).mean() < 40
    assert np.array_equal(np.asarray(nicodec.decompress(data, repair=True)), whole)


def test_a_picture_of_one_piece_has_a_payload(model: str) -> None:
    data = nicodec.compress(smooth_picture(100, 100), 60, codec=model)
    assert "payload" in nicodec.info(data).sections
    with pytest.raises(InputError, match="--packets"):
        without_packets(data, 0.5)


def test_other_codecs_cannot_repair(tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NICODEC_MODELS", str(tiny_model_folder))
    codec = nicodec.load("tiny").codec
    with pytest.raises(QualityError, match="cannot be repaired"):
        codec.repair([None], (64, 64), 100)


def test_bursts_lose_packets_in_a_row(model: str) -> None:
    data = nicodec.compress(smooth_picture(100, 100), 60, codec=model, packets=20)
    _, lost = without_packets(data, 0.25, burst=5, seed=2)
    assert len(lost) == 5
    assert lost[-1] - lost[0] <= 9


def test_the_program(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    source, file, damaged = tmp_path / "a.png", tmp_path / "a.nic", tmp_path / "a.damaged.nic"
    Image.fromarray(smooth_picture(128, 160)).save(source)
    assert run(["compress", str(source), "-o", str(file), "--codec", model, "-q", "50", "--packets", "10"]) == 0
    assert run(["corrupt", str(file), "--loss", "20%"]) == 0
    assert run(["decompress", str(damaged), "-o", str(tmp_path / "b.png")]) == 4
    capsys.readouterr()
    assert run(["decompress", str(damaged), "-o", str(tmp_path / "b.png"), "--repair"]) == 0
    assert "packets were lost" in capsys.readouterr().err
    with Image.open(tmp_path / "b.png") as repaired:
        assert repaired.size == (160, 128)
    for share in ("0", "110%", "some"):
        assert run(["corrupt", str(file), "--loss", share]) == 2
