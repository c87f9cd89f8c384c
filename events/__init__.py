"""Events (impression, tap, item view, purchase, complaint): schema, indices and hashed user ids."""
