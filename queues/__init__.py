"""The stack of both Celery workers: broker, checked messages, tasks, retries, stores of failures."""
