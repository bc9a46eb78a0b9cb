"""What can go wrong in an evaluation; every message names the thing and the remedy."""

from nicodec.errors import NicodecError


class EvaluationError(NicodecError):
    """Base of the errors of kodak_eval that a user can do something about."""


class CodecUnavailableError(EvaluationError):
    """A codec cannot run here: its package is missing, or was built without it."""


class MetricUnavailableError(EvaluationError):
    """A metric cannot run here: its package or its weights are missing."""


class PictureTooSmallError(EvaluationError):
    """A metric is not defined on a picture of this size."""


class DatasetError(EvaluationError):
    """A data set is missing, incomplete, or not what its name says."""

    exit_code = 3


class BdRateError(EvaluationError):
    """BD-rate is not defined for two curves: too few points, not monotone, no common quality."""
