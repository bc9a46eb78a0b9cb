import pytest
from hypothesis import given
from hypothesis import strategies as st

from nicodec.container.varint import VARINT_MAX, read_varint, varint_size, write_varint
from nicodec.errors import CorruptError, TruncatedError


@given(st.integers(0, VARINT_MAX), st.binary(max_size=3), st.binary(max_size=3))
def test_round_trip(value: int, before: bytes, after: bytes) -> None:
    encoded = write_varint(value)
    data = before + encoded + after
    assert len(encoded) == varint_size(value)
    assert read_varint(data, len(before), len(data)) == (value, len(before) + len(encoded))


@given(st.binary(max_size=8))
def test_what_decodes_has_one_encoding(data: bytes) -> None:
    try:
        value, stop = read_varint(data, 0, len(data))
    except (CorruptError, TruncatedError):
        return
    assert write_varint(value) == data[:stop]


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16383, "ff7f"), (16384, "808001"), (VARINT_MAX, "ffffffff7f")],
)
def test_known_encodings(value: int, encoded: str) -> None:
    assert write_varint(value).hex() == encoded


@pytest.mark.parametrize("value", [-1, VARINT_MAX + 1])
def test_value_out_of_range(value: int) -> None:
    with pytest.raises(ValueError, match=f"varint {value} is outside 0 to"):
        write_varint(value)


@pytest.mark.parametrize("encoded", ["8000", "808000", "ff00", "8080808000"])
def test_overlong(encoded: str) -> None:
    data = bytes.fromhex(encoded)
    with pytest.raises(CorruptError, match="fits in fewer"):
        read_varint(data, 0, len(data))


@pytest.mark.parametrize("encoded", ["808080808001", "ffffffffff", "8080808080"])
def test_longer_than_five_bytes(encoded: str) -> None:
    data = bytes.fromhex(encoded)
    with pytest.raises(CorruptError, match="longer than 5 bytes"):
        read_varint(data, 0, len(data))


@given(st.integers(0, VARINT_MAX))
def test_truncated(value: int) -> None:
    encoded = write_varint(value)
    for end in range(len(encoded)):
        with pytest.raises(TruncatedError, match="cut short"):
            read_varint(encoded, 0, end)
