"""Writes tests/golden: `python -m tests.tools.write_golden`. Only when preprocessing changes on
purpose.

The expected pixels come from the definition (the oracle in tests/images/test_preprocess.py, and
tests/support/icc.py for the one with a colour profile), on full decodes, not from the function
under test.
"""

import numpy as np
from PIL import Image

from batch.core.rules import Limits
from batch.demo import dicom_writer
from batch.demo.lesions import lesion_image
from batch.images import raster
from batch.images.formats import FileFormat
from tests.images.test_preprocess import oracle
from tests.support import icc
from tests.support.archives import REPOSITORY


def main() -> None:
    folder = REPOSITORY / "tests" / "golden"
    small, large = lesion_image(21, 200, 267), lesion_image(22, 320, 300)
    jpeg = dicom_writer.jpeg_bytes(large)
    (folder / "jpeg.jpg").write_bytes(jpeg)
    Image.fromarray(small).save(folder / "png.png")
    native = dicom_writer.dermoscopic_photograph(small, 1, 1, 1, jpeg=False)
    dicom_writer.save(native, folder / "dicom_native.dcm")
    wrapped = dicom_writer.dermoscopic_photograph(large, 1, 2, 1, jpeg=True)
    dicom_writer.save(wrapped, folder / "dicom_jpeg.dcm")
    decoded = raster.decode(jpeg, FileFormat.JPEG, Limits()).pixels
    for name, pixels in (
        ("jpeg", decoded), ("dicom_jpeg", decoded), ("png", small), ("dicom_native", small)
    ):  # fmt: skip
        expected = np.rint(oracle(pixels)).astype(np.uint8)
        Image.fromarray(expected).save(folder / f"{name}.input.png")
    stored = icc.encoded(small, icc.ADOBE_RGB)
    profile = icc.profile(icc.ADOBE_RGB)
    Image.fromarray(stored).save(folder / "adobe_rgb.png", icc_profile=profile)
    resized = np.rint(oracle(stored)).astype(np.uint8)
    expected = icc.encoded(resized, icc.SRGB, icc.ADOBE_RGB)
    Image.fromarray(expected).save(folder / "adobe_rgb.input.png")


if __name__ == "__main__":
    main()
