"""Draws the morning's HTML page."""
