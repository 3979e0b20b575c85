"""Folders that systems make for themselves: thumbnails, trash, snapshots, file system repair.

Copies of pictures lie there, shrunken or thrown away: scored, they would stand beside their
originals. They are listed and counted like everything, and not opened. Pure.
"""

from __future__ import annotations

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
"""In lower case: a share may show another case than the system wrote."""
_BEGINNINGS = (".trash-",)
"""With the number of a user behind."""


def is_in_system_folder(path: str) -> bool:
    """Whether a file lies, at any depth, in such a folder.

    Args:
        path: relative to the archive, `/` between parts; a trailing `/` makes it a folder. The
            archive's own name is no part of it: who names such a folder as archive means it.
    """
    *folders, _ = path.split("/")
    return any(name in _NAMES or name.startswith(_BEGINNINGS) for name in map(str.lower, folders))
