"""python -m services.audit: run the service; --check-config only checks its settings."""

from services.audit.app import build_app
from services.audit.settings import Settings
from shared.service import run_service
from shared.settings import load_settings

if __name__ == "__main__":
    run_service("audit", load_settings(Settings), build_app)
