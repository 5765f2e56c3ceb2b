"""Where backups are kept: one small port, so that a target can be anything that stores named objects."""

from typing import Protocol


class Target(Protocol):
    """A store of objects that are written once.

    What `put_if_absent` returned for survives a power failure; an object is there whole or not at all.
    """

    async def put_if_absent(self, name: str, data: bytes) -> None:
        """Store an object. Raises FileExistsError when the name is taken, OSError when it cannot be stored."""
        ...

    async def get(self, name: str) -> bytes:
        """Return an object. Raises FileNotFoundError."""
        ...

    async def list(self, prefix: str) -> list[str]:
        """Return the names below a prefix, without it, sorted."""
        ...

    async def delete(self, name: str) -> None:
        """Remove an object; again when it is gone already."""
        ...
