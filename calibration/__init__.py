"""Fits ranking files to judgments, labels and taps. Serving does not import it."""
