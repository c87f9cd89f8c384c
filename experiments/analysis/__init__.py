"""What reads event logs: cleaning, offline evaluation, planning and reports."""
