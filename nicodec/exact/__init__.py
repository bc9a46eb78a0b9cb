"""Integer-exact layers, for everything that entropy parameters depend on."""
