"""From an archive to pixels: inventory, recognition by content, decoding, preprocessing."""
