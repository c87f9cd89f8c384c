"""One chunk of events on its way to documents: plan, load photos, encode, write."""
