"""Encoders compared on logged slates."""
