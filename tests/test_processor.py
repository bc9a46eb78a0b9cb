from __future__ import annotations

import pytest
import torch

from nicodec.processor import prefers_bfloat16


@pytest.mark.parametrize(
    ("amx", "instructions", "name", "expected"),
    [
        (True, True, "Intel Xeon", True),
        (False, True, "Intel Xeon", False),
        (False, True, "AMD EPYC", True),
        (False, False, "AMD EPYC", False),
    ],
)
def test_bfloat16_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, amx: bool, instructions: bool, name: str, expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name}, raising=False)
    prefers_bfloat16.cache_clear()
    try:
        assert prefers_bfloat16("cpu") is expected
        assert prefers_bfloat16("cuda")
    finally:
        prefers_bfloat16.cache_clear()
