"""The bench of quantisers: all of them on the same features, for equal time, at equal bits."""
