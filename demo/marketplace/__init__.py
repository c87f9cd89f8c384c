"""A synthetic marketplace: listings with drawn photos."""
