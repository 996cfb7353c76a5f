"""What goes wrong in this room, said to the user in one message."""


class DownstreamError(Exception):
    """A head cannot do what was asked; the message says what was expected and what to do."""


class UnknownName(DownstreamError):
    """No head of that name."""
