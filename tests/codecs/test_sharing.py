"""Models that several threads share, that several users have, and that run in odd surroundings."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nicodec
from nicodec.codecs.latent import REFINEMENT
from nicodec.model import Model

from ..conftest import smooth_picture

SMALL, LARGE = smooth_picture(40, 40, 1), smooth_picture(40, 56, 2)
"""Of too many colours to be coded without loss, which would leave nothing to refine."""


@pytest.fixture(scope="module", autouse=True)
def one_thread_each() -> None:
    """Encoders may round otherwise in more threads; only decoders must not."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


STEPS = 12


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An effort of 8 refines in so many steps here, so that tests are quick: one step learns as the next does."""
    monkeypatch.setitem(REFINEMENT, 8, STEPS)


def at_once(*works: Callable[[], object]) -> None:
    """Run each in a thread of its own; the first error of any is raised here."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def guarded(work: Callable[[], object]) -> None:
        try:
            start.wait()
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


Compress = Callable[[np.ndarray, int], bytes]


@pytest.fixture(params=["one model", "nicodec.compress"])
def coders(request: pytest.FixtureRequest, tiny_model_folder: Path) -> tuple[Compress, Callable[[bytes], np.ndarray]]:
    """What compresses a picture with an effort, and what decompresses."""
    folder = tiny_model_folder / "tiny"
    if request.param == "one model":
        model = nicodec.load(folder)
        return (
            lambda picture, effort: model.compress(picture, 50, effort=effort),
            lambda data: np.asarray(model.decompress(data)),
        )
    request.getfixturevalue("monkeypatch").setenv("NICODEC_MODELS", str(tiny_model_folder))
    return (
        lambda picture, effort: nicodec.compress(picture, 50, codec=folder, effort=effort),
        lambda data: np.asarray(nicodec.decompress(data)),
    )


def test_threads_with_other_efforts_do_not_disturb_each_other(
    coders: tuple[Compress, Callable[[bytes], np.ndarray]],
) -> None:
    """An encoder that refines learns; what it learns with must not be what others code with."""
    compress, decompress = coders
    refined, plain = compress(SMALL, 8), compress(LARGE, 7)
    pixels = decompress(plain)
    done = threading.Event()
    rounds = 0

    def refine() -> None:
        try:
            assert compress(SMALL, 8) == refined
        finally:
            done.set()

    def code() -> None:
        nonlocal rounds
        while not done.is_set():
            assert compress(LARGE, 7) == plain
            assert np.array_equal(decompress(plain), pixels)
            rounds += 1

    at_once(refine, code)
    assert rounds > 2


def test_threads_that_refine_at_once(tiny_model_folder: Path) -> None:
    model, other = nicodec.load(tiny_model_folder / "tiny"), smooth_picture(40, 40, 9)
    expected = {number: model.compress(picture, 50, effort=8) for number, picture in enumerate((SMALL, other))}
    found: dict[int, bytes] = {}
    at_once(
        lambda: found.__setitem__(0, model.compress(SMALL, 50, effort=8)),
        lambda: found.__setitem__(1, model.compress(other, 50, effort=8)),
    )
    assert found == expected


def test_the_first_calls_of_several_threads_share_one_model(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nicodec import shared

    monkeypatch.setattr(shared, "_models", {})
    models: list[Model] = []
    at_once(*[lambda: models.append(shared.shared_model(tiny_model_folder / "tiny", "cpu"))] * 4)
    assert len(models) == 4
    assert len(set(map(id, models))) == 1


def test_two_models_of_one_weight_file_share_nothing(tiny_model_folder: Path) -> None:
    import torch

    first, second = (nicodec.load(tiny_model_folder / "tiny") for _ in range(2))
    picture = smooth_picture(64, 64)
    expected = second.compress(picture, 60)
    common = nicodec.compress(picture, 60, codec=tiny_model_folder / "tiny")
    assert common == expected
    first.codec.train()
    with torch.no_grad():
        for parameter in first.codec.parameters():
            parameter.zero_()
        for buffer in first.codec.buffers():
            buffer.zero_()
    assert not second.codec.training
    assert second.compress(picture, 60) == expected
    assert nicodec.compress(picture, 60, codec=tiny_model_folder / "tiny") == common


def test_an_encode_leaves_the_model_as_it_was(tiny_model_folder: Path) -> None:
    model = nicodec.load(tiny_model_folder / "tiny")
    before = {name: tensor.clone() for name, tensor in model.codec.state_dict().items()}
    for effort in (1, 7, 8):
        model.compress(SMALL, 50, effort=effort)
    assert not any(module.training for module in model.codec.modules())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.codec.parameters())
    after = model.codec.state_dict()
    assert all((after[name] == tensor).all() for name, tensor in before.items())


SURROUNDINGS = {
    "float64 as default": "torch.set_default_dtype(torch.float64)",
    "all else": (
        "torch.set_default_dtype(torch.bfloat16); torch.set_grad_enabled(False); torch.manual_seed(12345); "
        "torch.rand(7); mode = torch.inference_mode(); mode.__enter__()"
    ),
}


def hashes(model: str, options: str, before: str, models: Path) -> list[str]:
    """What a fresh process writes and reads, two times: files and pixels as hexadecimal digests."""
    code = f"""
import hashlib, sys
import numpy as np, torch
torch.set_num_threads(1)
import nicodec, nicodec.codecs.latent
nicodec.codecs.latent.REFINEMENT[8] = {STEPS}
picture = np.random.default_rng(3).integers(0, 256, (6, 7, 3)).repeat(6, 0).repeat(6, 1).astype(np.uint8)
{before}
for _ in range(2):
    data = nicodec.compress(picture, 55, codec={model!r}, {options})
    pixels = np.asarray(nicodec.decompress(data))
    print(hashlib.sha256(data).hexdigest(), hashlib.sha256(pixels.tobytes()).hexdigest())
"""
    environment = {**os.environ, "NICODEC_MODELS": str(models), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


@pytest.mark.parametrize(("model", "options"), [("tiny", ""), ("tiny", "effort=8"), ("splat", "iterations=8")])
def test_settings_of_torch_do_not_matter(model: str, options: str, tiny_model_folder: Path) -> None:
    expected = hashes(model, options, "", tiny_model_folder)
    assert expected[:2] == expected[2:]
    for name, before in SURROUNDINGS.items():
        assert hashes(model, options, before, tiny_model_folder) == expected, name


@pytest.mark.parametrize("model", ["hyperprior", "splat"])
def test_float64_as_default_in_this_process(model: str) -> None:
    """A user who changes the default after models were loaded, between writing and reading."""
    import torch

    options = {"gaussians": 30, "iterations": 8} if model == "splat" else {}
    picture = smooth_picture(40, 56)
    expected = nicodec.compress(picture, 50, codec=model, **options)
    pixels = np.asarray(nicodec.decompress(expected))
    torch.set_default_dtype(torch.float64)
    try:
        written = nicodec.compress(picture, 50, codec=model, **options)
        read = np.asarray(nicodec.decompress(expected))
        fresh = nicodec.load(model).compress(picture, 50, **options)
    finally:
        torch.set_default_dtype(torch.float32)
    assert written == fresh == expected
    assert np.array_equal(read, pixels)
