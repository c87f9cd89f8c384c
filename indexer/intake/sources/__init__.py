"""Where listings are read from: files on this machine or elsewhere, and databases."""
