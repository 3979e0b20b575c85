"""The Beam pipeline, and the files that driver and workers exchange."""
