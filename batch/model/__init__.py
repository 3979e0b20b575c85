"""The model artifact: its contract, its start-up checks, and the classifier behind it."""
