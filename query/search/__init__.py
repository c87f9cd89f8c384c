"""The search: body builder, ranking, price band, reader."""
