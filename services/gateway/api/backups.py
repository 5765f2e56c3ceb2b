"""/api/backups and /api/restores: take, list, verify, delete; plan and run restores."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from services.backup.contract import requests
from services.gateway.api.routing import AskerDep, StrictRoute, needs

router = APIRouter(prefix="/api/backups", tags=["Backups"], route_class=StrictRoute)
restores = APIRouter(prefix="/api/restores", tags=["Restores"], route_class=StrictRoute)
BackupId = Annotated[str, Path(description="The backup's id.", examples=["bkp_8fK2mQz7LpXa"], max_length=100)]
RestoreId = Annotated[str, Path(description="The restore's id.", examples=["rst_8fK2mQz7LpXa"], max_length=100)]


@router.post("", status_code=202)
@needs("backups:write")
async def create_backup(asker: AskerDep, body: requests.CreateBackup | None = None) -> requests.BackupResource:
    """Begin a backup; ask for it by its id to see it end."""
    return await asker.ask(requests.CREATE, body or requests.CreateBackup())


@router.get("")
@needs("backups:read")
async def list_backups(asker: AskerDep, query: Annotated[requests.ListBackups, Query()]) -> requests.BackupPage:
    """List backups, newest first."""
    return await asker.ask(requests.LIST, query)


@router.get("/status")
@needs("backups:read")
async def show_status(asker: AskerDep) -> requests.BackupStatus:
    """Show what is measured: how much a disaster now would lose, and how long the last restore took."""
    return await asker.ask(requests.STATUS, requests.FindStatus())


@router.get("/{backup_id}")
@needs("backups:read")
async def show_backup(backup_id: BackupId, asker: AskerDep) -> requests.BackupResource:
    """Show a backup."""
    return await asker.ask(requests.SHOW, requests.BackupName(backup_id=backup_id))


@router.delete("/{backup_id}", status_code=204)
@needs("backups:write")
async def delete_backup(backup_id: BackupId, asker: AskerDep) -> None:
    """Delete a backup that no later one follows."""
    await asker.ask(requests.DELETE, requests.BackupName(backup_id=backup_id))


@router.post("/{backup_id}/verify")
@needs("backups:write")
async def verify_backup(backup_id: BackupId, asker: AskerDep) -> requests.VerifyReport:
    """Read a backup back and compare it with what was written."""
    return await asker.ask(requests.VERIFY, requests.BackupName(backup_id=backup_id))


@restores.post("", status_code=202)
@needs("backups:restore")
async def create_restore(body: requests.CreateRestore, asker: AskerDep) -> requests.RestoreResource:
    """Plan a restore (`dry_run`, the default), or begin one into a scratch stream."""
    return await asker.ask(requests.CREATE_RESTORE, body)


@restores.get("")
@needs("backups:read")
async def list_restores(asker: AskerDep, query: Annotated[requests.ListRestores, Query()]) -> requests.RestorePage:
    """List restores, newest first."""
    return await asker.ask(requests.LIST_RESTORES, query)


@restores.get("/{restore_id}")
@needs("backups:read")
async def show_restore(restore_id: RestoreId, asker: AskerDep) -> requests.RestoreResource:
    """Show a restore: its plan, phase and progress."""
    return await asker.ask(requests.SHOW_RESTORE, requests.RestoreName(restore_id=restore_id))


@restores.post("/{restore_id}/cancel")
@needs("backups:restore")
async def cancel_restore(restore_id: RestoreId, asker: AskerDep) -> requests.RestoreResource:
    """Cancel a restore; its scratch stream is gone when this answers."""
    return await asker.ask(requests.CANCEL_RESTORE, requests.RestoreName(restore_id=restore_id))
