"""Elasticsearch on one machine: where it comes from, and its one node."""
