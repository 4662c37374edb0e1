"""What an operator is told in one sentence."""


class OpsError(Exception):
    """An operation can't be done; the text says why and what to do."""
