"""Recognises a file by its first bytes, and decides whether its name claims an image.

Sources of the signatures: each format's own specification; DICOM PS3.10 section 7.1 for the
preamble.
"""

from __future__ import annotations

import re
from enum import StrEnum

HEAD_BYTES = 4096


class FileFormat(StrEnum):
    """Kinds of content: image formats that can be decoded, and others that must be recognised."""

    JPEG = "jpeg"
    PNG = "png"
    TIFF = "tiff"
    BMP = "bmp"
    WEBP = "webp"
    GIF = "gif"
    DICOM = "dicom"
    DICOM_WITHOUT_PREAMBLE = "dicom_without_preamble"
    UNSUPPORTED_IMAGE = "unsupported_image"
    OTHER = "other"
    TEXT = "text"
    UNKNOWN = "unknown"


RASTER_FORMATS = frozenset(
    {
        FileFormat.JPEG,
        FileFormat.PNG,
        FileFormat.TIFF,
        FileFormat.BMP,
        FileFormat.WEBP,
        FileFormat.GIF,
    }
)


_CAMERA_RAW = (
    b"FUJIFILMCCD-RAW",  # RAF
    b"IIRO",  # Olympus ORF, three kinds
    b"IIRS",
    b"MMOR",
    b"IIU\x00",  # Panasonic RW2, Leica RWL
    b"II\x1a\x00\x00\x00HEAPCCDR",  # Canon CRW
    b"\x00MRM",  # Minolta MRW
    b"FOVb",  # Sigma X3F
)


_CAMERA_RAW_IN_TIFF = (b"CR", b"IIII", b"MMMM")
"""Canon CR2 and Phase One IIQ, at offset 8; `tiff_directory` recognises other camera raw."""


_SIGNATURES: tuple[tuple[bytes, FileFormat], ...] = (
    (b"\xff\xd8\xff", FileFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", FileFormat.PNG),
    *((signature, FileFormat.UNSUPPORTED_IMAGE) for signature in _CAMERA_RAW),
    (b"II*\x00", FileFormat.TIFF),
    (b"MM\x00*", FileFormat.TIFF),
    (b"II+\x00", FileFormat.TIFF),
    (b"MM\x00+", FileFormat.TIFF),
    (b"GIF87a", FileFormat.GIF),
    (b"GIF89a", FileFormat.GIF),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", FileFormat.UNSUPPORTED_IMAGE),  # JPEG 2000, file
    (b"\xff\x4f\xff\x51", FileFormat.UNSUPPORTED_IMAGE),  # JPEG 2000, codestream
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", FileFormat.UNSUPPORTED_IMAGE),  # JPEG XL, file
    (b"\xff\x0a", FileFormat.UNSUPPORTED_IMAGE),  # JPEG XL, codestream
    (b"II\xbc", FileFormat.UNSUPPORTED_IMAGE),  # JPEG XR
    (b"8BPS", FileFormat.UNSUPPORTED_IMAGE),  # Photoshop
    (b"%PDF-", FileFormat.OTHER),
    (b"PK\x03\x04", FileFormat.OTHER),  # zip and office documents
    (b"\x1f\x8b", FileFormat.OTHER),  # gzip
    (b"7z\xbc\xaf\x27\x1c", FileFormat.OTHER),
    (b"Rar!", FileFormat.OTHER),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileFormat.OTHER),  # OLE: Thumbs.db, old office
    (b"\x00\x05\x16\x07", FileFormat.OTHER),  # AppleDouble
    (b"\x00\x00\x00\x01Bud1", FileFormat.OTHER),  # .DS_Store
    (b"SQLite format 3\x00", FileFormat.OTHER),
    (b"PAR1", FileFormat.OTHER),
    (b"\x7fELF", FileFormat.OTHER),
    (b"MZ", FileFormat.OTHER),  # Windows program: a viewer on an exported disc
    (b"RIFF", FileFormat.OTHER),  # sound and video; WebP is told apart before
    (b"\x1aE\xdf\xa3", FileFormat.OTHER),  # Matroska
    (b"ID3", FileFormat.OTHER),
)


_STRAY_JPEG = re.compile(rb"\xff\xd8[^\xff]{1,64}\xff+[\xc0-\xc4\xdb\xdd\xe0-\xef\xfe]")
"""A JPEG with stray bytes before its first segment, which libjpeg skips."""


_STILL_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"crx "}
)
"""HEIF's, and Canon's CR3."""


IMAGE_EXTENSIONS = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".tif",
        ".tiff",
        ".bmp",
        ".dib",
        ".webp",
        ".gif",
        ".dcm",
        ".dicom",
        ".dic",
        ".ima",
        ".heic",
        ".heif",
        ".avif",
        ".jp2",
        ".j2k",
        ".jxl",
        ".psd",
    ]
)


CAMERA_RAW_EXTENSIONS = frozenset(
    [
        ".raw",
        ".dng",
        ".cr2",
        ".cr3",
        ".crw",
        ".nef",
        ".nrw",
        ".arw",
        ".sr2",
        ".srf",
        ".orf",
        ".rw2",
        ".rwl",
        ".pef",
        ".srw",
        ".raf",
        ".3fr",
        ".fff",
        ".iiq",
        ".mos",
        ".erf",
        ".mef",
        ".mrw",
        ".x3f",
        ".kdc",
        ".dcr",
        ".gpr",
    ]
)


def sniff(head: bytes) -> FileFormat:
    """Recognise a file by its first bytes.

    Args:
        head: the first `HEAD_BYTES` bytes, or the whole file if it is shorter.
    """
    if head[128:132] == b"DICM":
        return FileFormat.DICOM
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileFormat.WEBP
    if head[4:8] == b"ftyp":
        still = head[8:12] in _STILL_BRANDS
        return FileFormat.UNSUPPORTED_IMAGE if still else FileFormat.OTHER
    if head[:4] in (b"II*\x00", b"MM\x00*") and head[8:].startswith(_CAMERA_RAW_IN_TIFF):
        return FileFormat.UNSUPPORTED_IMAGE
    for signature, file_format in _SIGNATURES:
        if head.startswith(signature):
            return file_format
    if _STRAY_JPEG.match(head):
        return FileFormat.JPEG
    if _is_bitmap(head):
        return FileFormat.BMP
    if _starts_like_a_dataset(head):
        return FileFormat.DICOM_WITHOUT_PREAMBLE
    return FileFormat.TEXT if _is_text(head) else FileFormat.UNKNOWN


def name_claims_image(path: str) -> bool:
    """Whether a file name claims an image, so that a person must look at other content.

    True for the usual extensions, and for names without an extension or with a number as extension,
    as in DICOM exports. Hidden files (with a leading dot) claim nothing.
    """
    if path.rsplit("/", 1)[-1].startswith("."):
        return False
    extension = _extension(path)
    known = extension in IMAGE_EXTENSIONS or extension in CAMERA_RAW_EXTENSIONS
    return known or extension[1:].isdigit() or not extension


def name_claims_camera_raw(path: str) -> bool:
    """Whether a file name claims camera raw."""
    return _extension(path) in CAMERA_RAW_EXTENSIONS


def _extension(path: str) -> str:
    """The extension in lower case, with its dot; empty if there is none."""
    name = path.rsplit("/", 1)[-1]
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def _is_bitmap(head: bytes) -> bool:
    """Whether bytes begin a bitmap: `BM`, and one of the known header sizes (12 to 124 bytes)."""
    return head[:2] == b"BM" and head[14:18] in {
        size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124)
    }


def _starts_like_a_dataset(head: bytes) -> bool:
    """Whether bytes begin with group 0002 or 0008, in any byte order, and a plausible element."""
    if len(head) < 8:
        return False
    for order in ("little", "big"):
        group = int.from_bytes(head[:2], order)
        element = int.from_bytes(head[2:4], order)
        if (group == 0x0002 and element <= 0x0102) or (group == 0x0008 and element <= 0x0100):
            return True
    return False


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8 text without control characters; the last character may be cut."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and all(c.isprintable() or c in "\t\n\r\f\x1b\ufeff" for c in text)


_NAMES = frozenset(
    {
        "@eadir",  # Synology: thumbnails and attributes beside every folder
        "#recycle",
        "#snapshot",
        "@recycle",  # QNAP
        "@recently-snapshot",
        ".@__thumb",
        ".recycle",  # Samba's
        ".snapshot",  # NetApp
        "~snapshot",
        ".snapshots",  # snapper
        ".zfs",
        ".trash",
        ".trashes",  # macOS
        ".appledouble",
        ".documentrevisions-v100",
        ".fseventsd",
        ".spotlight-v100",
        ".temporaryitems",
        "__macosx",  # in every zip that macOS makes
        "$recycle.bin",  # Windows, in three generations
        "recycler",
        "recycled",
        "system volume information",
        ".thumbnails",  # desktops and telephones
        ".thumb",
        ".thumbs",
        "lost+found",
    }
)
"""Folders of operating systems and storage, in lower case, since a share may change the case."""


_BEGINNINGS = (".trash-",)
"""A user's number follows."""


def is_in_system_folder(path: str) -> bool:
    """Whether a file is in a folder of the operating system or the storage, at any depth.

    Args:
        path: relative to the archive, `/` between parts; a folder ends in `/`. The archive itself
            may be such a folder.
    """
    *folders, _ = path.split("/")
    return any(name in _NAMES or name.startswith(_BEGINNINGS) for name in map(str.lower, folders))
