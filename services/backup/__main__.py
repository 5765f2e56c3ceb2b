"""python -m services.backup: run the service; --check-config only checks its settings."""

from services.backup.app import build_app
from services.backup.settings import Settings
from shared.service import run_service
from shared.settings import load_settings

if __name__ == "__main__":
    run_service("backup", load_settings(Settings), build_app)
