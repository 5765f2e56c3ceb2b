"""Verifies a recovery point: structure (signatures, chain, presence) and content (decrypt, decompress, hash anew)."""

from services.backup.catalogue import Catalogue
from services.backup.contract.requests import VerifyReport
from services.backup.errors import DamagedError
from services.backup.manifest import Manifest


class Verifier:
    """Reads back what a recovery point names and compares it with what was written."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def verify(self, backup_id: str, recorded_sha256: str | None) -> VerifyReport:
        """Return what was found: the first bad manifest or object, and how it is bad.

        `recorded_sha256` is the manifest's hash as the index has it: an older manifest put in its place is found by it.
        """
        checked = 0
        try:
            manifest, digest = await self._catalogue.get_manifest(backup_id)
            if recorded_sha256 and digest != recorded_sha256:
                raise DamagedError("the manifest is not the one that was recorded", f"manifests/{backup_id}.json")
            chain = await self._catalogue.get_chain(backup_id)
            checked += len(chain)
            before: Manifest | None = None
            for manifest in chain:
                checked += await self._verify_manifest(manifest, before)
                before = manifest
        except DamagedError as error:
            return VerifyReport(ok=False, checked_objects=checked, first_bad=error.object_name, reason=error.reason)
        return VerifyReport(ok=True, checked_objects=checked)

    async def _verify_manifest(self, manifest: Manifest, before: Manifest | None) -> int:
        """Return how many objects were checked. Raises DamagedError."""
        for name, stream in manifest.streams.items():
            known = before.streams.get(name) if before else None
            head, position = (known.head, known.last_sequence) if known else (None, stream.first_sequence - 1)
            for entry in stream.segments:
                if head is not None and entry.previous != head:
                    raise DamagedError(f"the chain of {name} is broken before this segment", entry.object)
                if entry.first_sequence != position + 1:
                    raise DamagedError(f"the segments of {name} do not follow one another", entry.object)
                await self._catalogue.get_segment(stream, entry)
                head, position = entry.sha256, entry.last_sequence
            if (head is not None and stream.head != head) or position != stream.last_sequence:
                raise DamagedError(
                    f"{name} ends elsewhere than the manifest says", f"manifests/{manifest.backup_id}.json"
                )
        return len(manifest.segments)
