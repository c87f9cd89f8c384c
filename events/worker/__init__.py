"""Events from the queue to Elasticsearch, and from there to parquet; their retention and erasure."""
