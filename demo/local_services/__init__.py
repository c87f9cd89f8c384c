"""Obtain and run the real Elasticsearch, Redis, worker and API on this machine."""
