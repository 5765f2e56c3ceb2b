"""What backup counts; labels are bounded: types and outcomes."""

from prometheus_client import Counter, Gauge

BACKUPS = Counter("gatehouse_backups", "Backups that ended.", ["type", "outcome"])
BACKUP_BYTES = Counter("gatehouse_backup_stored_bytes", "Bytes written to the target.")
VERIFIED = Counter("gatehouse_backup_verifications", "Recovery points that were verified.", ["outcome"])
RESTORES = Counter("gatehouse_restores", "Restores that ended.", ["outcome"])
COVERED_AT = Gauge("gatehouse_backup_covered_timestamp_seconds", "The moment up to which everything is in a backup.")
RESTORE_SECONDS = Gauge("gatehouse_restore_duration_seconds", "What the last restore took.")
