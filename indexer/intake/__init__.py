"""Files of listings to events."""
