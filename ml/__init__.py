"""Pixels to unit vectors, and how good they are."""
