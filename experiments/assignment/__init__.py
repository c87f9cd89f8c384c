"""What serving needs of experiments: their definition, who is in which arm, the kill switch."""
