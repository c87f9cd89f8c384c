"""PCA: fitting in memory or over shards, and applying."""
