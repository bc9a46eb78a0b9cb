"""Pictures as sums of Gaussians: fitting, drawing at any size."""

from nicodec.splat.picture import Picture

__all__ = ["Picture"]
