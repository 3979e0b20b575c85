"""The review server behind `serve`."""
