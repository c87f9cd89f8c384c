"""From sums by arm to a verdict: statistics, guardrails, and the report."""
