"""Interactions (impression, tap, view, purchase, complaint): their schema, indices and hashed user ids."""
