"""What the processor is good at."""

from __future__ import annotations

import functools

import torch


@functools.cache
def prefers_bfloat16(device_type: str) -> bool:
    """Whether matrix products are faster in bfloat16 than in float32 on "cpu" or "cuda".

    On processors it takes instructions for it; but Intel's without AMX (or with AMX that a virtual machine hides)
    multiply vectors of bfloat16 at half the pace of float32 or less, where AMD's take half the time.
    """
    if device_type != "cpu":
        return device_type == "cuda"
    try:
        capabilities = torch.cpu.get_capabilities()
    except AttributeError:  # an older torch does not tell; float32 is never wrong
        return False
    if capabilities.get("amx_bf16"):
        return True
    return bool(capabilities.get("avx512_bf16")) and "Intel" not in str(capabilities.get("cpu_name", ""))
