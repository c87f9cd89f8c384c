"""The commands `nitamono index` and `nitamono indexer`."""
