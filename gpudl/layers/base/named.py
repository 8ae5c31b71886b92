"""The name of a layer in errors."""

from __future__ import annotations


class Named:
    """The base of layers that implements their names in errors."""

    name: str

    def _who(self) -> str:
        return f'{type(self).__name__} "{self.name}"'
