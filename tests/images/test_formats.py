import pytest

from batch.images.formats import FileFormat, name_claims_image, sniff

BMP_HEAD = b"BM" + bytes(12) + (40).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0", FileFormat.JPEG),
        (b"\xff\xd8", FileFormat.UNKNOWN),
        (b"\x89PNG\r\n\x1a\n", FileFormat.PNG),
        (b"\x89PNG\n\x1a\n", FileFormat.UNKNOWN),
        (b"II*\x00", FileFormat.TIFF),
        (b"MM\x00*", FileFormat.TIFF),
        (b"MM\x00+", FileFormat.TIFF),
        (BMP_HEAD, FileFormat.BMP),
        (b"BMI is 24, says the letter", FileFormat.TEXT),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", FileFormat.WEBP),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", FileFormat.OTHER),
        (b"GIF89a", FileFormat.GIF),
        (bytes(128) + b"DICM", FileFormat.DICOM),
        (b"\xff\xd8\xff" + bytes(125) + b"DICM", FileFormat.DICOM),
        (bytes(128) + b"DICX", FileFormat.UNKNOWN),
        (b"\x08\x00\x05\x00CS\x0a\x00", FileFormat.DICOM_WITHOUT_PREAMBLE),
        (b"\x00\x08\x00\x05CS\x00\x0a", FileFormat.DICOM_WITHOUT_PREAMBLE),
        (b"\x02\x00\x00\x00UL\x04\x00", FileFormat.DICOM_WITHOUT_PREAMBLE),
        (b"\x08\x00\xff\xffCS\x0a\x00", FileFormat.UNKNOWN),
        (b"\x00\x00\x00\x18ftypheic", FileFormat.UNSUPPORTED_IMAGE),
        (b"\x00\x00\x00\x18ftypmp42", FileFormat.OTHER),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", FileFormat.UNSUPPORTED_IMAGE),
        (b"\xff\x0a\xfa", FileFormat.UNSUPPORTED_IMAGE),
        (b"%PDF-1.7", FileFormat.OTHER),
        (b"PK\x03\x04", FileFormat.OTHER),
        ("grüße\n".encode(), FileFormat.TEXT),
        ("grüß".encode()[:-1], FileFormat.TEXT),
        (b"\x00\x01\x02\x03", FileFormat.UNKNOWN),
        (b"text\x00with a null", FileFormat.UNKNOWN),
    ],
)
def test_the_first_bytes_say_what_a_file_is(head, expected):
    assert sniff(head) == expected


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("a/b.jpg", True),
        ("B.JPEG", True),
        ("x.dcm", True),
        ("x.heic", True),
        ("IM000001", True),
        ("1.2.840.113619.2", True),
        ("x.txt", False),
        ("x.json", False),
        (".DS_Store", False),
        ("a/._photo.jpg", False),
        ("archive.zip", False),
    ],
)
def test_a_name_promises_an_image_or_not(path, claims):
    assert name_claims_image(path) is claims
