"""Compares a night with the nights before, and with the reference of its model."""
