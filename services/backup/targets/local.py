"""A folder as a target, through obstore."""

import asyncio
import os
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore


class LocalTarget:
    """Objects are files; obstore writes a temporary file and links it to its name, which fails when the name is taken."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._store = LocalStore(prefix=folder, mkdir=True)

    async def put_if_absent(self, name: str, data: bytes) -> None:
        """Store an object; file and folder are synced before it returns, so that no manifest is ever ahead of it.

        Raises FileExistsError, OSError.
        """
        try:
            await obstore.put_async(self._store, name, data, mode="create")
        except AlreadyExistsError as error:
            raise FileExistsError(name) from error
        except BaseError as error:
            raise OSError(f"{name} cannot be stored: {error}") from error
        await asyncio.to_thread(self._sync, name)

    def _sync(self, name: str) -> None:
        path = self._folder / name
        for entry in (path, path.parent, self._folder):
            descriptor = os.open(entry, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    async def get(self, name: str) -> bytes:
        """Return an object. Raises FileNotFoundError, OSError."""
        try:
            answer = await obstore.get_async(self._store, name)
            return bytes(await answer.bytes_async())
        except NotFoundError as error:
            raise FileNotFoundError(name) from error
        except BaseError as error:
            raise OSError(f"{name} cannot be read: {error}") from error

    async def list(self, prefix: str) -> list[str]:
        """Return the names below a prefix, without it, sorted."""
        names: list[str] = []
        async for page in obstore.list(self._store, prefix=prefix):
            names += [str(item["path"]).removeprefix(f"{prefix}/") for item in page]
        return sorted(names)

    async def delete(self, name: str) -> None:
        """Remove an object; again when it is gone already."""
        try:
            await obstore.delete_async(self._store, name)
        except (NotFoundError, FileNotFoundError):
            return
