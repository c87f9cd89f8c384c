"""Measuring encoders: quality, speed, reports and model cards."""
