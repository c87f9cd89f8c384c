"""Fetching of photos: safely, and within limits of time and size."""
