"""Compares labels with scores: `evaluate`, and the checks that `calibrate` shares."""
