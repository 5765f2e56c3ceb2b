"""python -m services.alerts: run the service; --check-config only checks its settings."""

from services.alerts.app import build_app
from services.alerts.settings import Settings
from shared.service import run_service
from shared.settings import load_settings

if __name__ == "__main__":
    run_service("alerts", load_settings(Settings), build_app)
