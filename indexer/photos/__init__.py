"""Photo references to pixels: fetched safely, decoded, within limits of time and size."""
