"""Settings of every process: environment variables, and the services that `make up` recorded."""
