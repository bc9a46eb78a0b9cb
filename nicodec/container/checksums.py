"""The checksums of packets: 8 bits over a packet's head, 16 bits over all of it."""

from binascii import crc_hqx

CRC16_BYTES = 2
_CRC16_START = 0xFFFF
_CRC8_START = 0xFF


def _row(value: int) -> int:
    for _ in range(8):
        value = value << 1 ^ (0x107 if value & 0x80 else 0)
    return value


_CRC8_TABLE = tuple(_row(value) for value in range(256))


def crc8(data: bytes | bytearray) -> int:
    """CRC-8 (polynomial 07, start FF, not reflected): for a few bytes only, it walks them one by one."""
    checksum = _CRC8_START
    for byte in data:
        checksum = _CRC8_TABLE[checksum ^ byte]
    return checksum


def crc16(data: bytes | memoryview) -> int:
    """CRC-16 (polynomial 1021, start FFFF, not reflected)."""
    return crc_hqx(data, _CRC16_START)
