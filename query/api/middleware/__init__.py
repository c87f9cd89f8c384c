"""Around every route: the client's address, request id, role, rate limit, CORS and compression."""
