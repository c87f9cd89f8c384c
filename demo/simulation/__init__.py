"""A simulated marketplace: buyers and sellers with a known ground truth, and their event log."""
