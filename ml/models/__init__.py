"""Networks and their weights. Imports torch."""
