"""What a clip's file holds: its header, its streams, its packets, its index."""

from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

from nicodec.container.fields import RATIONAL_MAX
from nicodec.container.format import Header
from nicodec.container.picture import check_symbol_checksum
from nicodec.container.varint import SIGNED_MAX
from nicodec.errors import InputError

FRAMES_MAX = 1 << 28
FRAME_UNITS_MAX = 1 << 31
REFERENCES_MAX = 6
TIME_MAX = SIGNED_MAX >> 2
STREAMS_MAX = 200
PARAMETERS_MAX = 64
INDEX_ENTRIES_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Colour:
    """How to take the decoded colours: code points of ITU-T H.273 (0 to 255; 2 is "unspecified"), and the range."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False

    def __post_init__(self) -> None:
        for name in ("primaries", "transfer", "matrix"):
            if not 0 <= getattr(self, name) <= 255:
                raise ValueError(f"colour {name} is {getattr(self, name)}; give a code point of H.273, 0 to 255")


@dataclass(frozen=True)
class ClipHeader(Header):
    """What a clip's file says before its streams and packets.

    `time_base`: seconds in one unit of the frames' time stamps; `rate`: frames a second, None where it is not known
    or varies too much to be of use (a frame of it may last at most 2^31 units); `colour`; `sample_aspect`: width over
    height of a pixel; `rotation`: 0, 90, 180 or 270 degrees, by which a viewer turns the frames clockwise; `grey`:
    frames are to be shown as one channel; `icc`, `exif`, `xmp` as in a picture. Width and height are those of the
    frames before they are turned. InputError for a value outside its range.
    """

    time_base: Fraction = Fraction(1, 25)
    rate: Fraction | None = Fraction(25)
    colour: Colour = Colour()
    sample_aspect: Fraction = Fraction(1)
    rotation: int = 0
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rational("time base", self.time_base)
        check_rational("sample aspect ratio", self.sample_aspect)
        if self.rate is not None:
            check_rational("frame rate", self.rate)
            if 1 / (self.rate * self.time_base) > FRAME_UNITS_MAX:
                raise InputError(
                    f"a frame at {self.rate} frames a second lasts {1 / (self.rate * self.time_base)} units of"
                    f" {self.time_base} s, the most is {FRAME_UNITS_MAX}; give a coarser time base, or no rate"
                )
        if self.rotation not in (0, 90, 180, 270):
            raise InputError(f"the rotation is {self.rotation} degrees; give 0, 90, 180 or 270")

    def regular_pts(self, number: int) -> int:
        """Return the time stamp of frame `number` of a clip that keeps to the rate (0 where there is no rate).

        number / (rate * time_base), rounded to the nearest, halves up. Frames that have this time stamp are
        written without one.
        """
        if self.rate is None:
            return 0
        steps = self.rate * self.time_base
        return (2 * number * steps.denominator + steps.numerator) // (2 * steps.numerator)

    def regular_duration(self, number: int) -> int:
        """Return the units from `regular_pts` of frame `number` to that of the next."""
        return self.regular_pts(number + 1) - self.regular_pts(number)


@dataclass(frozen=True)
class Stream:
    """One audio, subtitle or other stream whose packets are copied into the clip as they are.

    `type`: "audio", "subtitle" or another word; `codec`: FFmpeg's name; `time_base`: seconds in one unit of its time
    stamps; `extradata`: the codec's own; `sample_rate`: Hz, 0 if none; `layout`: FFmpeg's name of the channels;
    `language`: as in ISO 639, or empty; `disposition`: FFmpeg's bits; `packet_duration`: units that a packet lasts
    unless it says otherwise; `parameters`: others, name and value, in ascending order of their names, once each.
    InputError for a value outside its range.
    """

    type: str
    codec: str
    time_base: Fraction
    extradata: bytes = b""
    sample_rate: int = 0
    layout: str = ""
    language: str = ""
    disposition: int = 0
    packet_duration: int = 0
    parameters: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        check_rational("time base", self.time_base)
        for name in ("sample_rate", "disposition", "packet_duration"):
            if not 0 <= getattr(self, name) <= 0xFFFFFFFF:
                raise InputError(f"the stream's {name} is {getattr(self, name)}; give 0 to {0xFFFFFFFF}")
        names = [name for name, _ in self.parameters]
        if names != sorted(set(names)) or len(names) > PARAMETERS_MAX:
            raise InputError(
                f"the stream's parameters are named {names[:PARAMETERS_MAX]}; give at most {PARAMETERS_MAX}, each"
                " once, in ascending order"
            )


class FrameType(IntEnum):
    """How a frame is coded: by itself, from earlier frames, from both sides. A codec may use 3 to 255 for its own."""

    I = 0  # noqa: E741
    P = 1
    B = 2


@dataclass(frozen=True, slots=True)
class FramePacket:
    """One coded frame of a clip.

    `number`: 0, 1, 2 and so on in the order of coding; `pts`: when it is shown, in units of the header's time base;
    `duration`: in the same, 0 where it is not known; `symbol_checksum`: 0 to 65535, computed by the codec over its
    symbols; `type`: a `FrameType`, or 3 to 255 for types of the codec's own; `is_key`: a decoder may start here;
    `references`: numbers of up to 6 earlier frames that it is predicted from (empty where the codec does not say).
    InputError for a value outside its range.
    """

    number: int
    data: bytes
    pts: int
    duration: int
    symbol_checksum: int
    type: int = FrameType.I
    is_key: bool = False
    references: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.number < FRAMES_MAX:
            raise InputError(f"the frame's number is {self.number}, the range is 0 to {FRAMES_MAX - 1}")
        if not 0 <= self.type <= 255:
            raise InputError(f"frame {self.number} has type {self.type}; give 0 to 255")
        check_symbol_checksum(self.symbol_checksum)
        check_time(f"frame {self.number}", self.pts)
        check_duration(f"frame {self.number}", self.duration)
        if len(self.references) > REFERENCES_MAX or not all(0 <= other < self.number for other in self.references):
            raise InputError(
                f"frame {self.number} refers to {self.references}; give at most {REFERENCES_MAX} numbers of earlier"
                " frames"
            )


@dataclass(frozen=True, slots=True)
class StreamPacket:
    """One packet of a copied stream, as it was.

    `stream`: the place of its stream among the clip's, from 1 on (0 is the frames'); `pts`, `dts`, `duration`: in
    units of the stream's time base, None where there is none, and a `dts` of None also where it is the `pts`;
    `flags`: FFmpeg's (1 key, 2 corrupt, 4 discard, 8 trusted, 16 disposable). InputError for a value outside its
    range.
    """

    stream: int
    data: bytes
    pts: int | None
    dts: int | None = None
    duration: int = 0
    flags: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.stream <= STREAMS_MAX:
            raise InputError(f"a packet of stream {self.stream}; streams are numbered from 1 to {STREAMS_MAX}")
        for time in (self.pts, self.dts):
            if time is not None:
                check_time(f"a packet of stream {self.stream}", time)
        check_duration(f"a packet of stream {self.stream}", self.duration)
        if not 0 <= self.flags <= 31:
            raise InputError(f"a packet of stream {self.stream} has flags {self.flags}; give 0 to 31")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Where a key frame is: its number, its time stamp, and the offset of its packet from the clip's first byte."""

    number: int
    pts: int
    offset: int


@dataclass(frozen=True, slots=True)
class ClipIndex:
    """What the end of a clip's file tells of all of it.

    `frame_types`: how many frames are I, P, B and of another type; `start` and `end`: the first time stamp and the
    last with its duration, in units of the header's time base (0 and 0 without frames); `packets` and `bytes`: how
    many packets, and bytes in them, the frames and then each stream have; `entries`: the key frames, or as many of
    them as fit in 65536 entries.
    """

    frame_types: tuple[int, int, int, int]
    start: int
    end: int
    packets: tuple[int, ...]
    bytes: tuple[int, ...]
    entries: tuple[IndexEntry, ...]

    @property
    def frames(self) -> int:
        """The number of frames."""
        return sum(self.frame_types)


def check_rational(name: str, value: Fraction) -> None:
    """Raise InputError where `value` is not above 0, or a part of it is above 2^31 - 1."""
    if not (0 < value.numerator <= RATIONAL_MAX and value.denominator <= RATIONAL_MAX):
        raise InputError(f"the {name} is {value}; give a fraction above 0 of numbers up to {RATIONAL_MAX}")


def check_time(what: str, time: int) -> None:
    """Raise InputError where a time stamp is out of range."""
    if abs(time) > TIME_MAX:
        raise InputError(f"{what} has the time stamp {time}, the range is -{TIME_MAX} to {TIME_MAX}")


def check_duration(what: str, duration: int) -> None:
    """Raise InputError where a duration is out of range."""
    if not 0 <= duration <= TIME_MAX:
        raise InputError(f"{what} has the duration {duration}, the range is 0 to {TIME_MAX}")
