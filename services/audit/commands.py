"""What audit can be told to do with its quarantine."""

from nats.aio.client import Client

from services.audit.contract.requests import QuarantineDone, QuarantineId
from services.audit.queries import require_all_tenants
from services.audit.store import AuditStore
from shared.bus import Caller
from shared.errors import conflict, not_found
from shared.ids import new_uuid7


class AuditCommands:
    """The commands of the quarantine."""

    def __init__(self, store: AuditStore, client: Client) -> None:
        self._store = store
        self._client = client

    async def requeue(self, body: QuarantineId, caller: Caller) -> QuarantineDone:
        """Publish the message again where it came from. Raises not_found, or conflict when it was not kept whole.

        A crash between publishing and closing publishes it twice: (source, id) is taken in once all the same.
        """
        require_all_tenants(caller)
        rows = await self._store.fetch("quarantine_find", int(body.id))
        if not rows:
            raise not_found("quarantined message")
        if rows[0]["size"] > len(rows[0]["payload"]) or rows[0]["stream"] != "EXTERNAL":
            raise conflict("Only whole messages of EXTERNAL can be requeued.")
        headers = {"Nats-Msg-Id": new_uuid7()}
        await self._client.jetstream().publish(rows[0]["subject"], rows[0]["payload"], headers=headers)
        await self._store.fetch("quarantine_close", int(body.id))
        return QuarantineDone(id=body.id)

    async def discard(self, body: QuarantineId, caller: Caller) -> QuarantineDone:
        """Drop the message. Raises not_found."""
        require_all_tenants(caller)
        if not await self._store.fetch("quarantine_close", int(body.id)):
            raise not_found("quarantined message")
        return QuarantineDone(id=body.id)
