"""The commands of `nitamono ml`, one a file; ml/cli.py lists them."""
