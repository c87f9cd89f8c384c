"""PCA: fitted in memory or over shards, and applied."""
