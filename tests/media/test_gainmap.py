"""Gain maps: told of, and gone from XMP."""

import io
from xml.dom import minidom

import numpy as np
import pytest
from PIL import Image

from nicodec.media import LossyConversionWarning, read_picture
from nicodec.media.gainmap import has_gain_map, xmp_without_gain_map
from tests.media.test_reading import file_of

RDF = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{}'
    "</rdf:RDF></x:xmpmeta>"
)
GAIN = 'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
BOX = 'xmlns:Container="http://ns.google.com/photos/1.0/container/"'
ATTRIBUTES = RDF.format(
    f'<rdf:Description {GAIN} hdrgm:Version="1.0" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/>'
)
CAMERA = RDF.format(
    f"<rdf:Description {BOX} {GAIN}"
    ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"\n hdrgm:Version="1.0">'
    '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap"'
    ' Item:Length="99"/></rdf:li></rdf:Seq></Container:Directory><hdrgm:GainMapMax><rdf:Seq>'
    '<rdf:li>3</rdf:li></rdf:Seq></hdrgm:GainMapMax><xmp:Rating xmlns:xmp="http://ns.adobe.com/xap/1.0/">5</xmp:Rating></rdf:Description>'
)


@pytest.mark.parametrize("xmp", [ATTRIBUTES, CAMERA])
def test_xmp_says_nothing_of_it_and_keeps_the_rest(xmp):
    with pytest.warns(LossyConversionWarning, match="gain map"):
        picture = read_picture(file_of(Image.new("RGB", (8, 8)), "JPEG", xmp=xmp.encode()))
    left = picture.xmp.decode()
    minidom.parseString(left)
    for gone in ("hdrgm", "hdr-gain-map", "Container", "GainMap"):
        assert gone not in left
    assert "Rating" in left
    assert ">5<" in left or '"5"' in left


def test_xmp_that_cannot_be_cleaned_is_dropped():
    odd = RDF.format(f"<rdf:Description {GAIN}><hdrgm:A><hdrgm:B/></rdf:Description>").encode()
    assert xmp_without_gain_map(odd) is None
    with pytest.warns(LossyConversionWarning, match="gain map"):
        picture = read_picture(file_of(Image.new("RGB", (8, 8)), "JPEG", xmp=odd))
    assert picture.xmp is None
    assert any("XMP was dropped" in note for note in picture.notes)


def test_the_standard_s_marker_in_jpeg_and_avif():
    jpeg = file_of(Image.new("RGB", (8, 8)), "JPEG")
    segment = b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)
    jpeg = jpeg[:2] + b"\xff\xe2" + (len(segment) + 2).to_bytes(2, "big") + segment + jpeg[2:]
    with pytest.warns(LossyConversionWarning, match="gain map"):
        read_picture(jpeg)
    avif = file_of(Image.fromarray(np.zeros((8, 8, 3), np.uint8)), "AVIF")
    assert avif.count(b"MA1B", 0, 40) == 1
    with Image.open(io.BytesIO(avif)) as image:
        assert has_gain_map(image, avif.replace(b"MA1B", b"tmap", 1), None)  # a brand that such files must have
        assert not has_gain_map(image, avif, None)


def test_other_pictures_have_none():
    for format in ("JPEG", "AVIF", "PNG"):
        assert read_picture(file_of(Image.new("RGB", (8, 8)), format)).notes == ()
    plain = RDF.format("<rdf:Description/>").encode()
    assert xmp_without_gain_map(plain) == plain
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", xmp=plain)
    assert read_picture(out.getvalue()).xmp == plain
