"""Item id to visually similar items."""
