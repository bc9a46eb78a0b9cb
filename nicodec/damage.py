"""The warning that a damaged file was not decoded wholly."""


class DamageWarning(UserWarning):
    """Parts of a damaged file are lost; the message says which."""
