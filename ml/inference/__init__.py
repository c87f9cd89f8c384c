"""Photos and captions to unit vectors, without torch."""
