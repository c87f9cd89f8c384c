"""The Celery app: messages to documents, with dead letters for what cannot be indexed."""
