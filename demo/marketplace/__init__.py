"""A synthetic marketplace: any number of listings with drawn photos, the same for the same seed."""
