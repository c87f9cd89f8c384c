"""Answers kept in Redis, by the API that stores them and the indexer that changes their items."""
