"""Listing events to documents."""
