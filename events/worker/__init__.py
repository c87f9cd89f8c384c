"""The worker that stores events in Elasticsearch, their export to parquet, retention and erasure."""
