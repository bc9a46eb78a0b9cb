"""Quantisers: rounding, and the family of quantisers whose indices stand for features (`base`, `registry`)."""
