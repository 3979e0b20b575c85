"""The archive: list its files, and read each of them once."""
