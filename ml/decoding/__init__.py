"""Bytes of one photo to an upright picture in sRGB, format by format; ml.preprocess is the way in."""
