"""Reading the numbers, strings and blobs that sections and packets are made of, one after the other."""

from fractions import Fraction

from nicodec.container.format import ALTERED
from nicodec.container.varint import (
    LONG_MAX_BYTES,
    SIGNED_MAX,
    VARINT_MAX_BYTES,
    fold_sign,
    read_varint,
    unfold_sign,
    write_varint,
)
from nicodec.errors import CorruptError, StreamError

RATIONAL_MAX = (1 << 31) - 1


class FieldReader:
    """Takes fields off the front of `data`; CorruptError, naming `what`, where one is not there or is broken.

    The checksum over the data has been tested before, so a field that runs out is a fault of the writer (or
    an alteration that mended the checksum), not a file cut short.
    """

    def __init__(self, data: bytes | memoryview, what: str) -> None:
        self._data = data
        self._what = what
        self._position = 0

    def varint(self, most: int | None = None) -> int:
        """A varint of 1 to 5 bytes, of at most `most`."""
        return self._number(VARINT_MAX_BYTES, most)

    def long(self) -> int:
        """A varint of 1 to 9 bytes, 0 to 2^63 - 1."""
        return self._number(LONG_MAX_BYTES, None)

    def signed(self) -> int:
        """A folded number of 1 to 9 bytes, -2^62 + 1 to 2^62 - 1."""
        value = unfold_sign(self._number(LONG_MAX_BYTES, None))
        if abs(value) > SIGNED_MAX:
            raise self.fault(f"the number {value}, the range is -{SIGNED_MAX} to {SIGNED_MAX}")
        return value

    def fraction(self) -> Fraction:
        """Numerator and denominator, each 1 to 2^31 - 1, in lowest terms."""
        value = self.fraction_or_none()
        if value is None:
            raise self.fault("a fraction of 0, it must be above")
        return value

    def fraction_or_none(self) -> Fraction | None:
        """A fraction, or None for a single 0 in its place."""
        numerator = self.varint(RATIONAL_MAX)
        if not numerator:
            return None
        denominator = self.varint(RATIONAL_MAX)
        if not denominator:
            raise self.fault(f"the fraction {numerator}/0")
        value = Fraction(numerator, denominator)
        if value.numerator != numerator:
            raise self.fault(f"the fraction {numerator}/{denominator}, which is not in lowest terms")
        return value

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._position + count
        if end > len(self._data):
            raise self.fault(f"{len(self._data)} bytes where a field needs {end}")
        taken = bytes(self._data[self._position : end])
        self._position = end
        return taken

    def blob(self) -> bytes:
        """A varint of the length, then so many bytes."""
        return self.take(self.varint())

    def text(self) -> str:
        """A blob of UTF-8."""
        blob = self.blob()
        try:
            return blob.decode()
        except UnicodeDecodeError as error:
            raise self.fault(f"a text that is not UTF-8 ({blob[:16].hex(' ')})") from error

    @property
    def left(self) -> int:
        """Bytes that have not been taken."""
        return len(self._data) - self._position

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def finish(self) -> None:
        """Raise unless all has been taken."""
        if self.left:
            raise self.fault(f"{self.left} bytes after its last field")

    def fault(self, found: str) -> CorruptError:
        """Return the error that says what was found."""
        return CorruptError(f"{self._what} has {found}; {ALTERED}")

    def _number(self, max_bytes: int, most: int | None) -> int:
        try:
            value, self._position = read_varint(self._data, self._position, len(self._data), max_bytes)
        except StreamError as error:
            raise self.fault("a number that is broken or ends outside it") from error
        if most is not None and value > most:
            raise self.fault(f"the number {value}, the most is {most}")
        return value


def write_long(value: int) -> bytes:
    """Encode 0 to 2^63 - 1 in 1 to 9 bytes."""
    return write_varint(value, LONG_MAX_BYTES)


def write_signed(value: int) -> bytes:
    """Encode -2^62 + 1 to 2^62 - 1 in 1 to 9 bytes."""
    return write_varint(fold_sign(value), LONG_MAX_BYTES)


def write_fraction(value: Fraction | None) -> bytes:
    """Encode a fraction of two numbers from 1 to 2^31 - 1, or None as a single 0."""
    if value is None:
        return write_varint(0)
    return write_varint(value.numerator) + write_varint(value.denominator)


def write_blob(data: bytes) -> bytes:
    """Encode the length, then the bytes."""
    return write_varint(len(data)) + data
