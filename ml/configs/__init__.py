"""One training configuration a file."""
