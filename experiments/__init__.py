"""A/B tests: assignment, the event log, offline evaluation, planning and reports."""
