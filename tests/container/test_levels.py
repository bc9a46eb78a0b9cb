"""Pictures in levels: fewer of them in a smaller file, and files that arrive in pieces."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nicodec.container import (
    PacketType,
    PictureArrival,
    StoredPicture,
    parse_picture,
    read_picture,
    shorten_picture,
    write_picture,
)
from nicodec.errors import CorruptError, InputError, LimitError, NotNicodecError, QualityError, TruncatedError

from .build import FULL, PAYLOAD, build_file
from .test_picture import ANY_SIZE
from .test_picture_packets import ENDS, FILE, PACKET_PICTURES, PACKETS_START, PICTURE, build_packets

LEVELS = PACKET_PICTURES.map(
    lambda picture: replace(picture, packets=tuple(replace(p, type=PacketType.LEVEL) for p in picture.packets))
)


@given(LEVELS, st.data())
def test_a_shortened_file_is_whole_and_has_the_most_levels_that_fit(
    picture: StoredPicture, data: st.DataObject
) -> None:
    whole = write_picture(picture)
    sizes = [len(write_picture(picture.first_levels(count + 1))) for count in range(len(picture.packets))]
    most = data.draw(st.integers(1, len(whole) + 5))
    if most < sizes[0]:
        with pytest.raises(QualityError, match=f"have {sizes[0]}"):
            shorten_picture(whole, most)
        return
    short = shorten_picture(whole, most)
    found = read_picture(short, ANY_SIZE)
    count = sum(size <= most for size in sizes)
    assert len(short) == sizes[count - 1] <= most
    assert found == picture.first_levels(count)
    assert found.levels == count
    assert shorten_picture(short, most) == short


@pytest.mark.parametrize("left_out", [{"icc"}, {"exif", "xmp"}, {"icc", "exif", "xmp"}])
def test_metadata_is_dropped_before_levels(left_out: set[str]) -> None:
    flags = {name: name not in left_out for name in ("icc", "exif", "xmp")}
    kept = replace(PICTURE, **dict.fromkeys(left_out))
    assert read_picture(shorten_picture(FILE, len(write_picture(kept)), **flags)) == kept
    assert read_picture(shorten_picture(FILE, len(FILE), **flags)) == kept


def test_what_has_no_levels_is_not_shortened() -> None:
    pieces = write_picture(replace(PICTURE, packets=build_packets(3, PacketType.PIECE)))
    mixed = write_picture(replace(PICTURE, packets=(*build_packets(1), *build_packets(2, PacketType.PART)[1:])))
    for data in (pieces, mixed, build_file()):
        assert shorten_picture(data, len(data)) == data
        with pytest.raises(InputError, match="no levels"):
            shorten_picture(data, len(data) - 1)
    with pytest.raises(TruncatedError):
        shorten_picture(FILE[:-1], 10**6)


def test_packets_end_where_a_cut_file_still_gives_them() -> None:
    assert [span.stop for span in parse_picture(FILE).packet_spans] == ENDS
    for count, end in enumerate(ENDS):
        assert read_picture(FILE[:end], partial=True).levels == count + 1
        assert read_picture(FILE[: end - 1], partial=True).levels == count


@settings(max_examples=50)
@given(st.sampled_from([FILE, build_file(), write_picture(FULL)]), st.lists(st.integers(0, 60), max_size=8))
def test_however_a_file_arrives_what_is_there_is_what_a_cut_file_gives(file: bytes, steps: list[int]) -> None:
    arrival, position, seen = PictureArrival(), 0, None
    for step in itertools.cycle([*steps, 7]):
        if position == len(file):
            break
        news = arrival.feed(file[position : position + step])
        position = min(len(file), position + step)
        assert arrival.size == position
        assert news == (arrival.picture is not seen)
        seen = arrival.picture
        if file == FILE:
            assert (seen.levels if seen else 0) == sum(end <= position for end in ENDS)
            if seen:
                assert seen == read_picture(file[:position], partial=True)
        else:
            assert (seen is None) == (position < len(file))
        assert arrival.is_complete == (position == len(file))
        if not arrival.is_complete:
            with pytest.raises(TruncatedError):
                arrival.finish()
    assert arrival.finish() == read_picture(file)


def test_damage_shows_as_soon_as_it_is_there() -> None:
    altered = bytearray(FILE)
    altered[ENDS[1] - 1] ^= 1
    arrival = PictureArrival()
    assert arrival.feed(bytes(altered[: ENDS[0]]))
    with pytest.raises(CorruptError):
        arrival.feed(bytes(altered[ENDS[0] :]))
    assert arrival.picture is not None
    assert arrival.picture.levels == 1

    arrival = PictureArrival()
    with pytest.raises(CorruptError):  # the header, by the packets' section
        arrival.feed(FILE[:6] + b"\x7f" + FILE[7:PACKETS_START])

    arrival = PictureArrival()
    arrival.feed(FILE[:-1])
    with pytest.raises(CorruptError):
        arrival.feed(bytes([FILE[-1] ^ 1]))
    assert not arrival.is_complete

    for file in (FILE, build_file([PAYLOAD])):
        arrival = PictureArrival()
        arrival.feed(file)
        with pytest.raises(CorruptError, match="after the end"):
            arrival.feed(b"x")


def test_what_is_no_picture_or_too_large_is_told_by_its_first_bytes() -> None:
    with pytest.raises(NotNicodecError):
        PictureArrival().feed(b"GIF89a")
    with pytest.raises(InputError, match="clip"):
        PictureArrival().feed(b"\x8fnic\x11" + bytes(30))
    with pytest.raises(LimitError):
        PictureArrival().feed(b"\x8fnic\x10" + bytes(4) + b"\xff\xff\xff\x07" * 2 + b"\x64")
