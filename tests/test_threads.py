"""How threads wait, and what children of a process that has computed can do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import smooth_picture

SET = """
import os, sys
from nicodec.threads import wait_passively
wait_passively()
assert "torch" not in sys.modules
print(*(f"{name}={os.environ[name]}" for name in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME") if name in os.environ))
"""

NAMES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT", "KMP_LIBRARY")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "OMP_WAIT_POLICY=PASSIVE KMP_BLOCKTIME=0"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "OMP_WAIT_POLICY=ACTIVE"),
        ({"GOMP_SPINCOUNT": "1000"}, ""),
        ({"KMP_BLOCKTIME": "200"}, "KMP_BLOCKTIME=200"),
    ],
)
def test_threads_wait_passively_unless_the_user_says_how(given: dict[str, str], found: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | given
    result = subprocess.run(
        [sys.executable, "-c", SET], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == found


CHILDREN = """
import multiprocessing, sys, threading

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import nicodec

PICTURE, WAY = sys.argv[1:]


def there_and_back(quality):
    data = nicodec.compress(np.load(PICTURE), quality, codec="tiny")
    return data, nicodec.decompress(data).tobytes()


class Compressed(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        data, pixels = there_and_back(20 * index)
        return [list(data), list(pixels[:1000])]


def children():
    if WAY in ("fork", "spawn"):
        start = {"initializer": torch.set_num_threads, "initargs": (1,)} if WAY == "spawn" else {}
        with multiprocessing.get_context(WAY).Pool(2, **start) as pool:
            return pool.map_async(there_and_back, [0, 20, 40, 60]).get(timeout=60)
    if WAY == "threads":
        found = [None] * 4

        def one(k):
            found[k] = there_and_back(20 * k)

        threads = [threading.Thread(target=one, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return found
    loader = DataLoader(Compressed(), batch_size=None, num_workers=2, timeout=60)
    return [(bytes(data), bytes(pixels)) for data, pixels in loader]


if __name__ == "__main__":
    torch.set_num_threads(2)  # of which a fork copies one
    there_and_back(100)
    before = torch.get_num_threads()
    found = children()
    assert torch.get_num_threads() == before
    if WAY != "threads":
        torch.set_num_threads(1)  # as children have; encoders may round otherwise in more threads
    for (data, pixels), quality in zip(found, (0, 20, 40, 60), strict=True):
        good_data, good_pixels = there_and_back(quality)
        assert data == good_data
        assert good_pixels.startswith(pixels)
    print("the same")
"""


@pytest.mark.parametrize("way", ["fork", "spawn", "threads", "loader"])
def test_children_of_a_process_that_has_computed(tmp_path: Path, tiny_model_folder: Path, way: str) -> None:
    if way in ("fork", "loader") and sys.platform in ("win32", "darwin"):
        pytest.skip("children are not forked here")
    np.save(tmp_path / "picture.npy", smooth_picture(256, 320))
    (tmp_path / "children.py").write_text(CHILDREN)
    result = subprocess.run(
        [sys.executable, "children.py", "picture.npy", way],
        env={**os.environ, "NICODEC_MODELS": str(tiny_model_folder)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stdout.strip() == "the same", result.stderr
