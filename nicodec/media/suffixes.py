"""Suffixes, in lower case with the dot, by which files are told apart without being opened."""

CLIP_SUFFIXES = (".mp4", ".mkv", ".mov", ".m4v", ".webm", ".avi", ".y4m", ".mts", ".m2ts", ".3gp")
"""Of clips that are read."""
