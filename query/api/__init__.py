"""The HTTP API: Flask app, parameters, responses, errors, OpenAPI."""
