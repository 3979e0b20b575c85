"""Writes images as DICOM objects: Dermoscopic Photography (Supplement 221) and others.

All patient data are invented; UIDs are derived from numbers.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    generate_uid,
)

from batch.images.dicom_kinds import (
    DERMOSCOPIC_PHOTOGRAPHY,
    MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE,
)


def uid(*parts: object) -> UID:
    """A UID that is the same for the same parts."""
    return generate_uid(entropy_srcs=["melanoma-batch demo", *map(str, parts)])


def dermoscopic_photograph(
    pixels: np.ndarray, patient: int, lesion: int, visit: int, jpeg: bool
) -> FileDataset:
    """Make a Dermoscopic Photography object of a lesion.

    Args:
        pixels: (h, w, 3), uint8, RGB.
        patient, lesion, visit: numbers; a lesion has the same TrackingUID at every visit.
        jpeg: JPEG baseline (4:2:0), else native RGB.
    """
    dataset = _object(DERMOSCOPIC_PHOTOGRAPHY, "DMS", patient, visit, lesion)
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.TrackingUID = uid("lesion", patient, lesion)
    dataset.TrackingID = f"lesion {lesion}"
    dataset.FrameOfReferenceUID = uid("frame of reference", patient, visit)
    dataset.PositionReferenceIndicator = ""
    dataset.AcquisitionDateTime = f"2026{visit:02d}0{patient}093{lesion % 10}00"
    dataset.AnatomicRegionSequence = Sequence([_code("77568009", "SCT", "Back")])
    dataset.ImageLaterality = "R" if lesion % 2 else "L"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.RecognizableVisualFeatures = "NO"
    dataset.LightSourcePolarization, dataset.ContactMethod = "", ""
    dataset.EmitterColorTemperature, dataset.OpticalMagnificationFactor = None, None
    dataset.BurnedInAnnotation = "NO"
    _set_frames(dataset, pixels[None], jpeg)
    return dataset


def multi_frame_capture(frames: np.ndarray, patient: int, visit: int) -> FileDataset:
    """Make a Multi-frame True Color Secondary Capture. frames: (n, h, w, 3), uint8, RGB."""
    dataset = _object(MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE, "XC", patient, visit, "sequence")
    dataset.ConversionType = "WSD"
    dataset.NumberOfFrames = len(frames)
    dataset.PageNumberVector = list(range(1, len(frames) + 1))
    dataset.FrameIncrementPointer = 0x00182001  # Page Number Vector
    dataset.Laterality = ""
    dataset.BurnedInAnnotation = "NO"
    _set_frames(dataset, frames, jpeg=True)
    return dataset


def encapsulated_pdf(patient: int) -> FileDataset:
    """Make a DICOM object that holds a letter and no image."""
    dataset = _object(EncapsulatedPDFStorage, "DOC", patient, 1, "letter")
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "NO"
    dataset.ContentDate, dataset.ContentTime, dataset.AcquisitionDateTime = "", "", ""
    dataset.ConceptNameCodeSequence = Sequence([])
    dataset.DocumentTitle = "generated letter"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.4\n%%EOF\n\x00"
    return dataset


def save(dataset: FileDataset, path: Path) -> None:
    """Write a Part 10 file."""
    dataset.save_as(path, enforce_file_format=True)


def jpeg_bytes(pixels: np.ndarray, quality: int = 90) -> bytes:
    """Encode pixels, (h, w, 3), uint8, RGB, as a JPEG file with chroma subsampling 4:2:0."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=2)
    return buffer.getvalue()


def _object(
    sop_class_uid: str, modality: str, patient: int, visit: int, instance: object
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = uid("instance", patient, visit, instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = uid("study", patient, visit)
    dataset.SeriesInstanceUID = uid("series", patient, visit, modality)
    dataset.Modality = modality
    dataset.PatientName = f"Demo^Patient {patient}"
    dataset.PatientID = f"DEMO-{patient:03d}"
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.StudyDate, dataset.StudyTime = f"2026{visit:02d}0{patient}", "090000"
    dataset.StudyID, dataset.AccessionNumber = str(visit), ""
    dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.PatientOrientation = ""
    dataset.Manufacturer = "melanoma-batch"
    dataset.ManufacturerModelName = "generated"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", "0"
    dataset.AcquisitionContextSequence = Sequence([])
    return dataset


def _set_frames(dataset: FileDataset, frames: np.ndarray, jpeg: bool) -> None:
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.LossyImageCompression = "01" if jpeg else "00"
    if not jpeg:
        dataset.PhotometricInterpretation = "RGB"
        dataset.PixelData = frames.tobytes()
        return
    encoded = [jpeg_bytes(frame) for frame in frames]
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.LossyImageCompressionRatio = round(frames[0].nbytes / len(encoded[0]), 1)
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.PixelData = encapsulate(encoded)
    dataset["PixelData"].VR = "OB"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
