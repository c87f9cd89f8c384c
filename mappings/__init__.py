"""The contract: the index mapping, the types that fill it, and the life of an index."""
