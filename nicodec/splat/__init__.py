"""Pictures as sums of Gaussians: fitting, drawing at any size."""
