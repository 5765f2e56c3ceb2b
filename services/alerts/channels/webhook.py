"""Webhooks by Standard Webhooks (1.0): the frozen body, signed with every secret of the channel, on each try anew.

At least once: `webhook-id` is the transition's id and stays the same however often it is sent. Redirects are refused.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from standardwebhooks.webhooks import Webhook

from services.alerts.channels.addresses import Network, RefusedAddressError, resolve_host

_GONE = 410
_LONGEST_WAIT_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try; `retry_after_seconds` is what the receiver asked for."""

    delivered: bool
    status: int | None = None
    reason: str | None = None
    gone: bool = False
    retry_after_seconds: float | None = None


class WebhookSender:
    """Sends webhooks."""

    def __init__(self, allowed: Sequence[Network], *, timeout_seconds: float) -> None:
        self._allowed = allowed
        self._timeout_seconds = timeout_seconds
        self._http = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            timeout=timeout_seconds,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def send(self, url: str, secrets: Sequence[str], *, message_id: str, body: str, now: datetime) -> Outcome:
        """Try once and say what came of it; no error but cancellation leaves."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._send(httpx.URL(url), sign(secrets, message_id, now, body), body)
        except TimeoutError:
            return Outcome(delivered=False, reason=f"no answer within {self._timeout_seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, RefusedAddressError, ValueError) as error:
            return Outcome(delivered=False, reason=f"{type(error).__name__}: {error}"[:300])

    async def _send(self, url: httpx.URL, headers: dict[str, str], body: str) -> Outcome:
        port = url.port or (443 if url.scheme == "https" else 80)
        address = await resolve_host(url.host, port, self._allowed)
        request = self._http.build_request(
            "POST", url.copy_with(host=address), content=body.encode(), headers=headers | {"host": url.netloc.decode()}
        )
        # The certificate is still checked for the name, although the connection goes to the address.
        request.extensions["sni_hostname"] = url.host
        answer = await self._http.send(request, stream=True)
        try:
            return judge(answer.status_code, answer.headers.get("retry-after"))
        finally:
            await answer.aclose()


def sign(secrets: Sequence[str], message_id: str, now: datetime, body: str) -> dict[str, str]:
    """Return the headers of one try: a signature for every secret, so that a receiver may hold the old or the new."""
    signatures = [Webhook(secret).sign(message_id, now.astimezone(UTC), body) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": "gatehouse-alerts",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def judge(status: int, retry_after: str | None) -> Outcome:
    """Return what a status means: 2xx is delivered, 410 wants no more, all else is tried again."""
    if httpx.codes.is_success(status):
        return Outcome(delivered=True, status=status)
    if status == _GONE:
        return Outcome(delivered=False, status=status, reason="the endpoint says that it is gone for good", gone=True)
    reason = "redirects are refused" if httpx.codes.is_redirect(status) else f"the endpoint answered {status}"
    return Outcome(delivered=False, status=status, reason=reason, retry_after_seconds=read_retry_after(retry_after))


def read_retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may be a date; None when it says nothing readable."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT_SECONDS)
    try:
        wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(wait, 0.0), _LONGEST_WAIT_SECONDS)
