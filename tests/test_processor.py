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
    capabilities = {"amx_bf16": amx, "avx512_bf16": instructions, "cpu_name": name}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    prefers_bfloat16.cache_clear()
    try:
        assert prefers_bfloat16("cpu") is expected
        assert prefers_bfloat16("cuda")
    finally:
        prefers_bfloat16.cache_clear()


def test_float32_where_torch_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    prefers_bfloat16.cache_clear()
    try:
        assert prefers_bfloat16("cpu") is False
    finally:
        prefers_bfloat16.cache_clear()


def test_torch_tells_what_is_asked_of_it() -> None:
    """A name that torch gives up would be taken for "no"."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities.get("architecture") != "x86_64":
        pytest.skip("this torch does not tell, or the processor is of another kind")
    assert {"amx_bf16", "avx512_bf16", "cpu_name"} <= set(capabilities)
