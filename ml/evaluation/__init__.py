"""How good and how fast encoders are."""
