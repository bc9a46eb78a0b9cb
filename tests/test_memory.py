"""The allocator's settings, seen in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")

PROGRAM = """
import resource, torch
from nicodec.memory import keep_freed_memory
kept = keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.zeros(12 * 2**20).add_(1)  # 48 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(kept, faults())
"""
GIVEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def run(**variables: str) -> tuple[str, int]:
    environment = {k: v for k, v in os.environ.items() if k not in GIVEN} | variables
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment
    )
    kept, faults = done.stdout.split()
    return kept, int(faults)


def test_freed_memory_is_kept() -> None:
    kept, faults = run()
    if kept == "False":
        pytest.skip("this glibc allows no threshold above 32 MiB")
    assert faults < 5 * 12_288  # else twenty times the 12,288 pages of 48 MiB


def test_the_users_own_setting_comes_first() -> None:
    kept, _ = run(MALLOC_TRIM_THRESHOLD_="131072")
    assert kept == "False"
