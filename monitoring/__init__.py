"""The state of a deployment, as metrics and for `/operator`: queues, indices, dead letters, workers."""
