"""Why a message did not arrive."""


class Undeliverable(Exception):
    """A receiver that cannot be reached or refuses. The message names no URL. ``again``: another try may help."""

    def __init__(self, why: str, *, again: bool, after: float = 0.0) -> None:
        super().__init__(why)
        self.again = again
        self.after = after
