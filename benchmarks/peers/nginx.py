"""nginx twice: as the upstream of everybody, and as a peer that checks a key, limits, and writes a JSON access log."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.context import SkippedError
from benchmarks.peers.process import find_free_port, run_server

BODY_BYTES = 1024

_FRAME = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 60s;
  {http}
}}
"""

_UPSTREAM = """
  access_log off;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type text/plain; return 200 "{body}"; }}
  }}
"""

_PEER = """
  map_hash_bucket_size 256;
  map $http_x_api_key $client {{ default ""; "{key}" "bench"; }}
  limit_req_zone $client zone=clients:1m rate=1000000r/s;
  log_format record escape=json '{{"time":"$time_iso8601","id":"$request_id","client":"$client",'
    '"address":"$remote_addr","method":"$request_method","path":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,'
    '"agent":"$http_user_agent"}}';
  access_log {folder}/access.log record buffer=64k flush=1s;
  upstream behind {{ server 127.0.0.1:{upstream_port}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      if ($client = "") {{ return 401; }}
      limit_req zone=clients burst=100000 nodelay;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://behind;
    }}
  }}
"""


@contextlib.contextmanager
def run_upstream(folder: Path) -> Iterator[int]:
    """Run the upstream; yields its port. Every path answers 1 KB."""
    port = find_free_port()
    with _run(folder / "upstream", _UPSTREAM.format(port=port, body="x" * BODY_BYTES), port):
        yield port


@contextlib.contextmanager
def run_peer(folder: Path, *, upstream_port: int, key: str) -> Iterator[int]:
    """Run nginx as a gateway with one key; yields its port."""
    port = find_free_port()
    text = _PEER.format(folder=folder / "nginx", port=port, upstream_port=upstream_port, key=key)
    with _run(folder / "nginx", text, port):
        yield port


@contextlib.contextmanager
def _run(folder: Path, http: str, port: int) -> Iterator[None]:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        raise SkippedError("nginx is not installed (Debian: apt install nginx-light).")
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(_FRAME.format(folder=folder, http=http))
    command = [binary, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
    with run_server(command, port=port, log_file=folder / "output.log"):
        yield
