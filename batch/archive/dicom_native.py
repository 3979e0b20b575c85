"""Uncompressed pixel data of a DICOM object: its size against the header's, and one frame of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from batch.archive.dicom_attributes import number
from batch.archive.dicom_values import PlainValues
from batch.archive.refusals import contradiction

_SHARED_CHROMA = "YBR_FULL_422"


@dataclass(frozen=True)
class NativeSize:
    """frame_bits: of one frame, by the header. found: bytes of pixel data. frames: declared."""

    frame_bits: int
    found: int
    frames: int

    def whole_frames(self) -> int | None:
        """How many frames the pixel data holds; None when no whole number of them fills it.

        One byte of padding may follow (PS3.5 8.1.1). Anything else is an image of another width,
        depth or kind than the header says: its rows would come out sheared.
        """
        for frames in (self.frames, self.found * 8 // max(1, self.frame_bits)):
            if frames and 0 <= self.found - -(-frames * self.frame_bits // 8) <= 1:
                return frames
        return None


def check_size(
    dataset: Dataset, values: PlainValues, rows: int, columns: int, frames: int, photometric: str
) -> bool:
    """Compare the length of the pixel data with the header.

    Returns:
        whether there are whole frames beyond those declared.

    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS.
    """
    found = len(dataset.PixelData or b"")
    samples, allocated = number(values, "SamplesPerPixel", default=1), _allocated(values)
    if photometric == _SHARED_CHROMA:  # two pixels share their chroma (PS3.3 C.7.6.3.1.2)
        if columns % 2 or number(values, "PlanarConfiguration", default=0):
            raise contradiction("chroma shared by two pixels, in an odd row or in planes")
        whole = NativeSize(rows * columns * samples * allocated, found, frames).whole_frames()
        if whole is not None and whole >= frames:
            raise contradiction("chroma for every pixel, where the header says for every second")
        samples = 2
    size = NativeSize(rows * columns * samples * allocated, found, frames)
    whole = size.whole_frames()
    if whole is None or whole < frames:
        needed = -(-size.frame_bits * frames // 8)
        raise contradiction(f"{found} bytes of pixel data; the header needs {needed}")
    return whole > frames


def decode_native(dataset: Dataset, syntax: str, index: int) -> np.ndarray:
    """One frame: (h, w) or (h, w, samples), of the type that Bits Allocated and Pixel
    Representation say; shared chroma is given to both pixels, and no colour is converted.
    """
    # else pydicom keeps the lowest Bits Stored bits, without regard to High Bit; `dicom_samples`
    # cuts the sample out of the whole word
    whole_words = {"correct_unused_bits": False}
    pixels, _ = get_decoder(UID(syntax)).as_array(
        dataset,
        index=index,
        raw=True,
        validate=False,
        **whole_words,  # type: ignore[arg-type]
    )
    return pixels


def _allocated(values: PlainValues) -> int:
    allocated = number(values, "BitsAllocated")
    if allocated < 1:
        raise contradiction(f"{allocated} bits allocated")
    return allocated
