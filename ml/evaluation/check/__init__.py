"""Whether an encoder fits a newcomer's listings. Needs no torch."""
