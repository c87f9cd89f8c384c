"""Fits ranking files to judgments and labels. Serving does not import it."""
