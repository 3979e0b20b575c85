"""Makes and judges model artifacts. Nothing here is imported by the scoring path."""
