"""Jobs over a whole index."""
