"""The decoders that pydicom lacks, from imagecodecs: lossless JPEG, JPEG XL.

The only importer of imagecodecs. `decode_frame`, `is_available` and `DECODER_DEPENDENCIES` are what
pydicom asks of a plugin module (pydicom.pixels, `Decoder.add_plugin`).
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np

PLUGIN = "melanoma_batch_imagecodecs"
SYNTAXES = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")

DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("numpy", "imagecodecs>=2025.3.30"))


def is_available(uid: str) -> bool:
    """Whether the plugin can decode this transfer syntax here."""
    return uid in DECODER_DEPENDENCIES and bool(imagecodecs.LJPEG.available)


def decode_frame(source: bytes, runner: Any) -> bytearray:
    """One lossless JPEG frame as samples in pixel order; called by pydicom.

    Args:
        source: the frame's stream. runner: pydicom's DecodeRunner, told the layout of the result.
    """
    pixels = imagecodecs.ljpeg_decode(source)
    runner.set_option("bits_allocated", 8 * pixels.itemsize)
    runner.set_option("planar_configuration", 0)
    return bytearray(np.ascontiguousarray(pixels).tobytes())


def decode_jpeg_xl(frame: bytes) -> np.ndarray:
    """A JPEG XL frame: (h, w, samples) uint8 or uint16; the stream knows its own colours."""
    return imagecodecs.jpegxl_decode(frame)
