"""Parsing of photo formats, colour conversion and limits, for ml.inference.preprocess."""
