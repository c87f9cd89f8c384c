"""API keys: their roles and format, where they are stored, and how a server checks them."""
