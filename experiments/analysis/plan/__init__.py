"""How many users and days an experiment takes."""
