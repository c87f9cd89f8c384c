"""Listings in: put, patched, deleted, in batches, with jobs and the status of each item."""
