"""A simulation in front of the running API."""
