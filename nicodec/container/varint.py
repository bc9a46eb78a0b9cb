"""Unsigned LEB128 integers in their shortest form, and signed ones folded into them."""

from nicodec.errors import CorruptError, TruncatedError

VARINT_MAX_BYTES = 5
VARINT_MAX = (1 << 7 * VARINT_MAX_BYTES) - 1
LONG_MAX_BYTES = 9
LONG_MAX = (1 << 7 * LONG_MAX_BYTES) - 1
SIGNED_MAX = (1 << 62) - 1


def varint_size(value: int) -> int:
    """Return the number of bytes, 1 to 5, that `value` (0 to 2^35 - 1) takes."""
    return max(1, (value.bit_length() + 6) // 7)


def write_varint(value: int, max_bytes: int = VARINT_MAX_BYTES) -> bytes:
    """Encode `value` (0 to 2^35 - 1) in 1 to 5 bytes, low bits first; ValueError outside that range.

    A long one (`max_bytes` is `LONG_MAX_BYTES`) holds 0 to 2^63 - 1.
    """
    most = (1 << 7 * max_bytes) - 1
    if not 0 <= value <= most:
        raise ValueError(f"varint {value} is outside 0 to {most}")
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(0x80 | value & 0x7F)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_varint(
    data: bytes | bytearray | memoryview, start: int, end: int, max_bytes: int = VARINT_MAX_BYTES
) -> tuple[int, int]:
    """Decode the varint at byte `start` of `data[:end]`; return it and the offset of the byte after it.

    TruncatedError where it runs past `end`; CorruptError where it is longer than `max_bytes` or overlong (a
    shorter encoding of the same value exists).
    """
    value = 0
    for index in range(max_bytes):
        position = start + index
        if position >= end:
            raise TruncatedError(
                f"the file ends inside the number at byte {start}; it was cut short: fetch or copy it again"
            )
        byte = data[position]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise CorruptError(
                    f"the number at byte {start} is written in {index + 1} bytes and fits in fewer; the file"
                    " was altered or its writer is at fault: fetch it again"
                )
            return value, position + 1
    raise CorruptError(
        f"the number at byte {start} is longer than {max_bytes} bytes; the file was altered or its"
        " writer is at fault: fetch it again"
    )


def fold_sign(value: int) -> int:
    """Return 0, 1, 2, 3, 4 ... for 0, -1, 1, -2, 2 ..., so that numbers near 0 stay short."""
    return value << 1 if value >= 0 else (-value << 1) - 1


def unfold_sign(value: int) -> int:
    """Undo `fold_sign`."""
    return value >> 1 if value % 2 == 0 else -(value + 1 >> 1)
