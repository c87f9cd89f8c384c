"""A simulation as a folder: the event log, its faults, and the true effect."""
