"""python -m services.gateway.proxy: run the proxy; --check-config only checks its settings."""

import uvloop

from services.gateway.proxy.app import serve
from services.gateway.settings import ProxySettings
from shared.settings import load_settings

if __name__ == "__main__":
    uvloop.run(serve(load_settings(ProxySettings)))
