"""What workers and the API tell of themselves: metrics, log lines, ids."""
