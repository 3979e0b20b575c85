"""The model artifact: its contract, its start-up checks, and its classifier."""
