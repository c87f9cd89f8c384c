"""The event log read: cleaned, joined, and summed up by user and arm."""
