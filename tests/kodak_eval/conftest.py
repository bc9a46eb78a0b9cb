"""Small pictures and one thread for the tests of the evaluation."""

import pytest
import torch
from PIL import Image
from skimage import data

from kodak_eval import datasets


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Two threads on busy cores wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pictures(tmp_path):
    """A folder of three crops of a photograph: 176x208, 192x176, and 120x100, too small for MS-SSIM."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    photo = data.astronaut()
    for name, (height, width) in {"a": (208, 176), "b": (176, 192), "small": (100, 120)}.items():
        Image.fromarray(photo[100 : 100 + height, 120 : 120 + width]).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def dataset(pictures):
    return datasets.load("pictures", pictures)
