"""Uncompressed pixel data of a DICOM object: checks its size, and decodes a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from batch.images.dicom_attributes import PlainValues, number, text
from batch.images.dicom_samples import sample_bits
from batch.images.refusals import contradiction

_SHARED_CHROMA = "YBR_FULL_422"
_PALETTE = "PALETTE COLOR"
_FOR_DECODING = ("PixelData", "Rows", "Columns", "NumberOfFrames", "BitsAllocated")


@dataclass(frozen=True)
class NativeSize:
    """Sizes of uncompressed pixel data.

    frame_bits: bits of a frame, by the header.
    found: bytes of the pixel data.
    frames: number of frames, by the header.
    """

    frame_bits: int
    found: int
    frames: int

    def whole_frames(self) -> int | None:
        """Number of frames in the pixel data; None if no whole number of them fills it.

        A byte of padding may follow (PS3.5 8.1.1). Other sizes mean another width, depth or kind of
        image than the header says, whose rows would be shifted.
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
        whether there are more frames than declared.


    Raises:
        ImageFailure: HEADER_CONTRADICTS_PIXELS.
    """
    found = len(dataset.PixelData or b"")
    samples, allocated = samples_per_pixel(values, photometric), _allocated(values)
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


def samples_per_pixel(values: PlainValues, photometric: str) -> int:
    """Samples per pixel by the header, else by the photometric interpretation.

    Args:
        values: of the dataset.
        photometric: PALETTE COLOR, or an interpretation with three colours.
    """
    return number(values, "SamplesPerPixel", default=1 if photometric == _PALETTE else 3)


def decode_native(dataset: Dataset, values: PlainValues, syntax: str, index: int) -> np.ndarray:
    """Decode a frame: (h, w) or (h, w, samples), with the type of the header.

    Shared chroma is given to both pixels; colours are not converted. Missing attributes have their
    usual values: samples by pixel, all bits in use, unsigned.
    """
    # pydicom would keep the lowest Bits Stored bits, without regard to High Bit; `dicom_samples`
    # takes the sample from the whole word
    whole_words = {"correct_unused_bits": False}
    pixels, _ = get_decoder(UID(syntax)).as_array(
        _completed(dataset, values),
        index=index,
        raw=True,
        validate=False,
        **whole_words,  # type: ignore[arg-type]
    )
    return pixels


def _completed(dataset: Dataset, values: PlainValues) -> Dataset:
    """The dataset, or a new one with all that decoding needs."""
    photometric = text(values, "PhotometricInterpretation") or ""
    bits = sample_bits(values)
    needed = {
        "SamplesPerPixel": samples_per_pixel(values, photometric),
        "PhotometricInterpretation": photometric,
        "PlanarConfiguration": 0,
        "BitsStored": bits.stored,
        "HighBit": bits.high,
        "PixelRepresentation": 0,
    }
    missing = {keyword for keyword in needed if values.get(keyword) in (None, "")}
    if not missing:
        return dataset
    completed = Dataset()
    for keyword in (*_FOR_DECODING, *(needed.keys() - missing)):
        if keyword in dataset:
            completed[keyword] = dataset[keyword]
    for keyword in missing:
        setattr(completed, keyword, needed[keyword])
    return completed


def _allocated(values: PlainValues) -> int:
    allocated = number(values, "BitsAllocated")
    if allocated < 1:
        raise contradiction(f"{allocated} bits allocated")
    return allocated
