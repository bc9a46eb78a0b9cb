"""Pictures in and out: Pillow, numpy and tensors on one side, a plain `Picture` on the other.

`read_picture` takes whatever a user has and gives grey or RGB pixels of 8 or 16 bits, a lossless alpha plane and
the metadata, and says what was lost on the way. `to_pil` and `save_picture` go back. This room knows no codec,
and importing it loads no torch.
"""

from nicodec.media.alpha import decode_alpha, encode_alpha
from nicodec.media.files import open_atomically, write_atomically
from nicodec.media.opening import pixel_count
from nicodec.media.picture import LossyConversionWarning, Picture, to_pil
from nicodec.media.reading import DEFAULT_MAX_PIXELS, read_picture
from nicodec.media.suffixes import CLIP_SUFFIXES, refuse_clip
from nicodec.media.writing import PICTURE_SUFFIXES, encode_picture, save_picture

__all__ = [
    "CLIP_SUFFIXES",
    "DEFAULT_MAX_PIXELS",
    "PICTURE_SUFFIXES",
    "LossyConversionWarning",
    "Picture",
    "decode_alpha",
    "encode_alpha",
    "encode_picture",
    "open_atomically",
    "pixel_count",
    "read_picture",
    "refuse_clip",
    "save_picture",
    "to_pil",
    "write_atomically",
]
