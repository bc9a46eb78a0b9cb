"""Quantisers: the VQ family comes here with the first codec that needs it."""
