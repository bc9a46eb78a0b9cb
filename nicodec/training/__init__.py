"""Training: data, loss, loop; reads a recipe, writes a model folder."""
