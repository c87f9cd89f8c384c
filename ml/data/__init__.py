"""Training and evaluation data: pairs, shards, tokenizer, vectors on disk. No torch."""
