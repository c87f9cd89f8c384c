"""What both Celery workers share: the broker, checked messages, and what becomes of refused ones."""
