"""Trained models: one folder each, with recipe, weights and card."""
