"""python -m services.keys: run the service; --check-config only checks its settings."""

from services.keys.app import build_app
from services.keys.settings import Settings
from shared.service import run_service
from shared.settings import load_settings

if __name__ == "__main__":
    run_service("keys", load_settings(Settings), build_app)
