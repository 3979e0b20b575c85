"""The model artifacts that this distribution ships, one folder a model."""
