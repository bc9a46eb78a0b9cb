"""Every anchor writes a file at each setting, more bytes give less error, and names lead to codecs."""

import dataclasses
import pickle

import numpy as np
import pytest
from PIL import Image
from skimage import data

from kodak_eval import datasets
from kodak_eval.codecs import ANCHORS, Codec, codec_from_name, default_codecs
from kodak_eval.codecs.catalogue import VARIANTS
from kodak_eval.codecs.compressai_zoo import CompressaiModel
from kodak_eval.errors import CodecUnavailableError, EvaluationError
from kodak_eval.speed import measure_speeds


@pytest.fixture(scope="module")
def pixels():
    return np.ascontiguousarray(data.astronaut()[100:260, 100:324])


def available(codec):
    try:
        codec.version()
    except CodecUnavailableError as error:
        pytest.skip(str(error))
    return codec


def error(pixels, decoded):
    return float(np.mean((pixels.astype(float) - decoded) ** 2))


@pytest.mark.parametrize("name", [*ANCHORS, *VARIANTS])
def test_settings_run_from_small_to_large(name, pixels):
    codec = available((ANCHORS | VARIANTS)[name])
    assert isinstance(codec, Codec)
    sizes, errors = [], []
    for setting in (codec.settings[0], codec.settings[3]):
        encoded = codec.encode(pixels, setting)
        decoded = codec.decode(encoded)
        assert decoded.shape == pixels.shape
        assert decoded.dtype == np.uint8
        sizes.append(len(encoded))
        errors.append(error(pixels, decoded))
    assert sizes[0] < sizes[1]
    assert errors[0] > errors[1]
    assert errors[1] < 80  # better than 29 dB: the colours are right


@pytest.mark.parametrize("name", ["jpeg", "avif-444", "x265-444", "jpegxl", "jpeg2000"])
def test_encoding_twice_gives_the_same_bytes(name, pixels):
    codec = available(ANCHORS[name])
    assert codec.encode(pixels, codec.settings[2]) == codec.encode(pixels, codec.settings[2])


@pytest.mark.parametrize("name", ["jpegxl", "svtav1-420"])
def test_threads_change_no_byte(name, pixels):
    codec = available(ANCHORS[name])
    two = dataclasses.replace(codec, threads=2)
    assert two.command(30) == codec.command(30)
    assert two.encode(pixels, codec.settings[1]) == codec.encode(pixels, codec.settings[1])


@pytest.mark.parametrize("name", [name for name in ANCHORS if name != "svtav1-420"])
def test_odd_sizes(name, pixels):
    codec = available(ANCHORS[name])
    odd = np.ascontiguousarray(pixels[:101, :67])
    assert codec.decode(codec.encode(odd, codec.settings[4])).shape == odd.shape


def test_x265_writes_no_information_message(pixels):
    codec = available(ANCHORS["x265-444"])
    assert b"x265" not in codec.encode(pixels, 40)


def test_codecs_travel_to_worker_processes():
    for codec in (ANCHORS | VARIANTS).values():
        assert pickle.loads(pickle.dumps(codec)) == codec


def test_names_with_options():
    assert codec_from_name("avif-444:speed=0").name == "avif-444-s0"
    assert codec_from_name("webp:settings=10/40/80").settings == (10, 40, 80)
    assert codec_from_name("jpeg:plain=true").name == "jpeg-plain"
    assert codec_from_name("nicodec-hyperprior").model == "hyperprior"
    assert codec_from_name("compressai-mbt2018-mean").settings == tuple(range(1, 9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wepb", "unknown codec 'wepb'; known: "),
        ("webp:effort=3", "webp has no option 'effort=3'; it has: method, settings"),
        ("webp:method=best", "'best' does not fit webp's option method"),
    ],
)
def test_wrong_names_say_what_exists(text, message):
    with pytest.raises(EvaluationError, match=message):
        codec_from_name(text)


def test_default_codecs_name_what_is_missing():
    usable, missing = default_codecs("no-such-model")
    assert "nicodec-no-such-model" in missing
    assert {codec.name for codec in usable} <= set(ANCHORS)
    assert {codec.name for codec in usable} | set(missing) == {*ANCHORS, "nicodec-no-such-model"}


@pytest.mark.parametrize("architecture", ["bmshj2018-factorized", "mbt2018-mean", "cheng2020-anchor"])
def test_compressai_round_trip(architecture, pixels):
    codec = available(CompressaiModel(architecture))
    crop = np.ascontiguousarray(pixels[:60, :70])  # padded to 64x128 and cut again
    encoded = codec.encode(crop, 1)
    decoded = codec.decode(encoded)
    assert decoded.shape == crop.shape
    assert np.array_equal(decoded, codec.decode(encoded))
    assert not codec.trained


def test_compressai_in_the_table_of_times(pixels, tmp_path):
    codec = available(CompressaiModel("bmshj2018-factorized", settings=(1,)))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (result,) = measure_speeds([codec], datasets.load("a", tmp_path).pictures, threads=1)
    assert result.error == ""
    assert result.encode_seconds > 0 < result.decode_seconds
    assert result.load_seconds > 0.1  # importing torch and CompressAI is loading, and apart


def test_nicodec_round_trip(pixels, tmp_path):
    pytest.importorskip("nicodec.zoo", reason="nicodec has no models yet")
    from nicodec.codecs import build_codec
    from nicodec.codecs.hyperprior import HyperpriorConfig
    from nicodec.zoo import write_model

    write_model(build_codec("hyperprior", dataclasses.asdict(HyperpriorConfig())), "hyperprior", tmp_path / "mine")
    codec = codec_from_name(f"nicodec:model={tmp_path / 'mine'}")
    assert codec.name == "nicodec-mine"
    assert "weights " in codec.version()
    assert codec.decode(codec.encode(pixels, 43)).shape == pixels.shape
