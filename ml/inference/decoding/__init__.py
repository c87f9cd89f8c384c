"""Bytes of one photo to an upright picture in sRGB, format by format; ml.inference.preprocess calls it."""
