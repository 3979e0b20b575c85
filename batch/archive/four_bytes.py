"""Pixels of four bytes each, handed to Pillow where they lie. The archive's importer of pyarrow.

Pillow keeps an RGB image with four bytes a pixel, and takes memory that lies so already over by
Arrow's C interface; anything else it copies first.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def in_place(pixels: np.ndarray) -> pa.Array | None:
    """What `Image.fromarrow` takes without copying; None where the bytes do not lie so.

    Args:
        pixels: (h, w, 3) uint8; taken when it is `whole[..., :3]` of a (h, w, 4) array.
    """
    whole = pixels.base
    if (
        not isinstance(whole, np.ndarray)
        or whole.shape != (*pixels.shape[:2], 4)
        or not whole.flags.c_contiguous
        or pixels.ctypes.data != whole.ctypes.data
    ):
        return None
    values = pa.Array.from_buffers(pa.uint8(), whole.size, [None, pa.py_buffer(whole)])
    return pa.FixedSizeListArray.from_arrays(values, 4)
