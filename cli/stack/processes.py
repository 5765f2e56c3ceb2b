"""The whole system from one table: which processes there are, and what each is told."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from cli.stack.home import SERVICES, Home
from cli.stack.nats_server import find_binary
from cli.stack.postgres import Postgres
from cli.stack.process import ProcessSpec

PROJECT = Path(__file__).parents[2]
_NICENESS = {"postgres": 5, "keys": 5, "audit": 10, "alerts": 10, "backup": 15}


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one start."""

    api: int
    proxy: int
    nats: int
    proxy_metrics: int
    sample: int
    keys: int
    audit: int
    alerts: int
    backup: int


def _url(port: int, path: str = "") -> str:
    return f"http://127.0.0.1:{port}{path}"


def build_infrastructure(home: Home, postgres: Postgres, nats_config: Path) -> list[ProcessSpec]:
    """Return NATS and Postgres."""
    return [
        ProcessSpec(
            name="postgres",
            command=postgres.command(),
            log_file=home.logs / "postgres.log",
            stop_signal=signal.SIGINT,
            account=postgres.account,
            working_folder=home.sockets,
            niceness=_NICENESS["postgres"],
        ),
        ProcessSpec(
            name="nats",
            command=[str(find_binary()), "-c", str(nats_config)],
            log_file=home.logs / "nats.log",
        ),
    ]


def build_services(home: Home, ports: Ports, postgres: Postgres, secrets: dict[str, str]) -> list[ProcessSpec]:
    """Return the five services, the gateway as its two processes."""
    common = {"NATS_URL": f"nats://127.0.0.1:{ports.nats}", "SERVICE_TOKEN": secrets["service_token"]}
    own = {
        "keys": {"PEPPER": secrets["pepper"], "ADMIN_KEY": secrets["admin_key"], "PROXY_URL": _url(ports.proxy)},
        "backup": {"BACKUP_DIR": str(home.backups), "BACKUP_KEY": secrets["backup_key"]},
        "alerts": {"ALERT_ALLOWED_NETWORKS": "127.0.0.0/8"},
    }
    specs = [
        _service(
            home, service, f"services.{service}", _url(getattr(ports, service), "/ready"),
            common | own.get(service, {}) | {
                "PORT": str(getattr(ports, service)),
                "DATABASE_URL": postgres.database_url(service),
                "NATS_SEED_FILE": str(home.seed_file(service)),
            },
        )
        for service in SERVICES
    ]  # fmt: skip
    gateway = common | {"NATS_SEED_FILE": str(home.seed_file("gateway")), "PEPPER": secrets["pepper"]}
    addresses = {f"{service.upper()}_URL": _url(getattr(ports, service)) for service in SERVICES}
    api = gateway | addresses | {"PORT": str(ports.api), "SPOOL_FOLDER": str(home.spool / "api")}
    proxy = gateway | {
        "PORT": str(ports.proxy),
        "METRICS_PORT": str(ports.proxy_metrics),
        "SPOOL_FOLDER": str(home.spool / "proxy"),
    }
    specs.append(_service(home, "api", "services.gateway.api", _url(ports.api, "/ready"), api))
    specs.append(_service(home, "proxy", "services.gateway.proxy", _url(ports.proxy, "/.gatehouse/ready"), proxy))
    return specs


def _service(home: Home, name: str, module: str, ready_url: str, environment: dict[str, str]) -> ProcessSpec:
    failpoints = {"FAILPOINTS": os.environ.get(f"FAILPOINTS_{name.upper()}", "")}
    return ProcessSpec(
        name=name,
        command=[sys.executable, "-m", module],
        log_file=home.logs / f"{name}.log",
        environment=environment | failpoints,
        ready_url=ready_url,
        working_folder=PROJECT,
        niceness=_NICENESS.get(name, 0),
    )
