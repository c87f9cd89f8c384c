"""Fine-tuning. Imports torch."""
