"""python -m services.gateway.api: run the api; --check-config only checks its settings."""

import uvloop

from services.gateway.api.server import serve
from services.gateway.settings import ApiSettings
from shared.settings import load_settings

if __name__ == "__main__":
    uvloop.run(serve(load_settings(ApiSettings)))
