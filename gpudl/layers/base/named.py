"""What a layer is called in errors."""

from __future__ import annotations


class Named:
    """The base of layers that knows what they are called."""

    name: str

    def _who(self) -> str:
        return f'{type(self).__name__} "{self.name}"'
