"""Ranking metrics and relevance. NumPy only."""
