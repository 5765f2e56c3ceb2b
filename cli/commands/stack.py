"""gatehouse up, down, status, ready, doctor: the stack on this machine."""

import asyncio
import contextlib
import json as json_module
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from cli.client import ApiClient, default_home
from cli.output import EXIT_FAILED, EXIT_UNREACHABLE, CommandError, Json, print_json, print_table, say
from cli.stack.errors import StackError

_DEFAULT_API_PORT = 8644
_DEFAULT_PROXY_PORT = 8645
_DETACH_BOUND_SECONDS = 120.0
_DOWN_BOUND_SECONDS = 60.0


def register(app: App) -> None:
    """Add the commands to the program."""
    for command in (up, down, status, ready, doctor):
        app.command(command)


def up(
    *,
    detach: Annotated[bool, Parameter(negative="", help="Return when everything is ready.")] = False,
    port: Annotated[int | None, Parameter(help="The api's port; 0 = a free one.")] = None,
    proxy_port: Annotated[int | None, Parameter(help="The proxy's port; 0 = a free one.")] = None,
    home: Annotated[Path | None, Parameter(help="Where everything lies; default ./.gatehouse.")] = None,
    json: Json = False,
) -> None:
    """Start NATS, Postgres and every service on this machine.

    Example: gatehouse up --detach
    """
    folder = (home or default_home()).resolve()
    api_port = _pick_port(port, "GATEHOUSE_PORT", _DEFAULT_API_PORT)
    gate_port = _pick_port(proxy_port, "GATEHOUSE_PROXY_PORT", _DEFAULT_PROXY_PORT)
    if detach:
        _up_detached(folder, api_port, gate_port, as_json=json)
    else:
        asyncio.run(_up_in_foreground(folder, api_port, gate_port, as_json=json))


def _pick_port(given: int | None, variable: str, default: int) -> int:
    text = str(given) if given is not None else os.environ.get(variable, str(default))
    if not text.isdigit() or int(text) > 65535:  # noqa: PLR2004  (the last port)
        raise CommandError(f"{text!r} is no port; give a number from 0 (any free one) to 65535.", 2)
    return int(text)


async def _up_in_foreground(folder: Path, api_port: int, proxy_port: int, *, as_json: bool) -> None:
    from cli.stack.home import Home
    from cli.stack.supervisor import Supervisor
    from cli.stack.welcome import print_welcome

    supervisor = Supervisor(Home(folder), api_port=api_port, proxy_port=proxy_port)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        try:
            starting = asyncio.create_task(supervisor.start())
            await asyncio.wait({starting, loop.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                if as_json:
                    print_json(describe_with_key(supervisor.describe(), supervisor.secrets["admin_key"]))
                else:
                    print_welcome(supervisor)
                sys.stdout.flush()
                watching = asyncio.create_task(supervisor.watch())
                await stopping.wait()
                watching.cancel()
            else:
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await starting
        except StackError as error:
            raise CommandError(str(error), error.exit_code) from error
    finally:
        say("Stopping …")
        await supervisor.stop()


def describe_with_key(document: dict[str, Any], admin_key: str) -> dict[str, Any]:
    """Return the document of `gatehouse up --json`: that of status, and the administrator's key."""
    return document | {"admin_key": admin_key}


def _up_detached(folder: Path, api_port: int, proxy_port: int, *, as_json: bool) -> None:
    from cli.stack.home import Home, load_secrets
    from cli.stack.welcome import print_detached

    home = Home(folder)
    is_first = home.is_new
    home_arguments = ["--home", str(folder), "--port", str(api_port), "--proxy-port", str(proxy_port)]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = folder / "supervisor.log"
    with log_path.open("wb") as log_file:
        child = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", *home_arguments, "--json"],
            stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file, start_new_session=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
    deadline = time.monotonic() + _DETACH_BOUND_SECONDS
    while time.monotonic() < deadline:
        document = _read_run_file(home.run_file)
        if document.get("ready") and document.get("supervisor") == child.pid:
            document = {name: value for name, value in document.items() if name not in {"ready", "supervisor"}}
            document["processes"] = [entry | {"ready": True} for entry in document["processes"]]
            secrets = load_secrets(home)
            if as_json:
                print_json(describe_with_key(document, secrets["admin_key"]))
            else:
                print_detached(document, secrets, is_first=is_first)
            return
        if child.poll() is not None:
            lines = log_path.read_text(errors="replace").strip().splitlines() or ["It ended without a word."]
            spoken = [line for line in lines if not line.startswith(("{", "Stopping"))]
            raise CommandError((spoken or lines)[-1], child.returncode or EXIT_FAILED)
        time.sleep(0.05)
    child.terminate()
    raise CommandError(f"It was not ready within {_DETACH_BOUND_SECONDS:.0f} s; see {log_path}.")


def _read_run_file(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json_module.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def down(
    *,
    home: Path | None = None,
    delete_data: Annotated[bool, Parameter(negative="", help="Ask, then remove the data too.")] = False,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
) -> None:
    """Stop the stack of this folder, gracefully.

    Example: gatehouse down
    """
    from cli.stack.home import Home

    stack = Home((home or default_home()).resolve())
    pid = _read_run_file(stack.run_file).get("supervisor")
    if pid and _is_alive(pid):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _DOWN_BOUND_SECONDS
        while _is_alive(pid):
            if time.monotonic() > deadline:
                raise CommandError(f"The supervisor ({pid}) did not stop within {_DOWN_BOUND_SECONDS:.0f} s.")
            time.sleep(0.05)
        say("Stopped.")
    else:
        say("Nothing runs here.")
    if delete_data:
        _delete_data(stack.path, stack.postgres, stack.sockets, ask=not yes)


def _delete_data(*folders: Path, ask: bool) -> None:
    existing = [folder for folder in folders if folder.exists()]
    if ask:
        say(f"This removes {', '.join(map(str, existing))} for good. Type yes to go on:")
        if sys.stdin.readline().strip() != "yes":
            raise CommandError("Nothing was removed.")
    for folder in existing:
        shutil.rmtree(folder)
    say("The data is gone.")


def status(*, home: Path | None = None, json: Json = False) -> None:
    """Show what runs.

    Example: gatehouse status
    """
    import httpx

    from cli.stack.home import Home

    stack = Home((home or default_home()).resolve())
    document = _read_run_file(stack.run_file)
    if not document or not _is_alive(document.get("supervisor", 0)):
        raise CommandError(f"Nothing runs in {stack.path}; `gatehouse up` starts it.", EXIT_UNREACHABLE)
    for entry in document["processes"]:
        path = "/.gatehouse/ready" if entry["name"] == "proxy" else "/ready"
        if entry["url"]:
            with contextlib.suppress(httpx.HTTPError):
                entry["ready"] = httpx.get(entry["url"] + path, timeout=2, trust_env=False).is_success
    document = {name: value for name, value in document.items() if name not in {"ready", "supervisor"}}
    if json:
        print_json(document)
        return
    for name in ("api", "proxy", "nats", "home"):
        print(f"{name:<6} {document[name]}")
    print_table(document["processes"], ("name", "pid", "ready", "restarts", "url"), as_json=False)


def ready(*, json: Json = False) -> None:
    """Say whether the api of the current context can serve.

    Example: gatehouse ready
    """
    document = ApiClient().ask("GET", "/ready")
    if json:
        print_json(document)
    else:
        say(document["status"])


def doctor(*, home: Path | None = None, json: Json = False) -> None:
    """Check whether this machine can run the stack.

    Example: gatehouse doctor
    """
    from cli.stack.doctor import check_surroundings

    findings = check_surroundings((home or default_home()).resolve())
    print_table(findings, ("check", "state", "detail"), as_json=json)
    if any(finding["state"] == "failed" for finding in findings):
        raise CommandError("Something is wrong; see above.")
