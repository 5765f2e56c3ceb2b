"""backup: owns recovery points; makes any covered moment of EVENTS, TRAFFIC and EXTERNAL restorable.

Listens to `rpc.backup.>`; reads the streams; emits `evt.backup.>`; writes BACKUP_DIR and, for a restore, a scratch stream.
Invariants: an object is written once; a manifest is written last, after every object was read back; the manifests are the
catalogue and Postgres only an index of them; a restore ends in a stream equal to the backup, or in no stream at all; one
process writes at a time (an advisory lock), a second one waits.
"""
