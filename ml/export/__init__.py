"""Trained or imported models to encoder artifacts."""
