"""What tells a request of our own forms from one that another site makes a browser send.

Airflow's cookie goes along with both, and Airflow has no such token itself (3.3.2).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from fastapi import HTTPException, Request
from itsdangerous import BadData, URLSafeTimedSerializer

# As long as somebody may think over whether to press the button.
GOOD_FOR_SECONDS = 3600


@dataclass(frozen=True)
class Permit:
    """One that a form of ours has brought back.

    Attributes:
        token: as it was written.
        written_at: when.
    """

    token: str
    written_at: datetime

    def run_id(self, parameters: Mapping[str, Any]) -> str:
        """The run that it permits with these parameters, which cannot be started twice."""
        what = json.dumps([self.token, parameters], sort_keys=True)
        moment = self.written_at.astimezone(UTC).isoformat(timespec="seconds")
        return f"manual__{moment}_{hashlib.sha256(what.encode()).hexdigest()[:8]}"


def write_permit(user_id: str, action: str) -> str:
    """A token with which this user, and nobody else, may do this one thing, for an hour."""
    return _serializer().dumps([user_id, action, secrets.token_hex(8)])


def read_permit(token: str, user_id: str, action: str) -> Permit:
    """What a form has brought back.

    Raises:
        HTTPException: 403, it is none of ours, or another user's, another action's, or too old.
    """
    try:
        content, written_at = _serializer().loads(
            token, max_age=GOOD_FOR_SECONDS, return_timestamp=True
        )
    except BadData:
        content, written_at = None, None
    if not isinstance(content, list) or content[:2] != [user_id, action] or not written_at:
        raise HTTPException(
            403, "This form is not valid, or not any more: go back and open it again."
        )
    return Permit(token, written_at)


def _serializer() -> URLSafeTimedSerializer:
    """Signs with HMAC, by Airflow's secret for what its servers hand out and take back."""
    return URLSafeTimedSerializer(
        conf.get_mandatory_value("api", "secret_key"),
        salt="sluice.page.forms",
        signer_kwargs={"digest_method": hashlib.sha256},
    )


def same_origin(request: Request) -> None:
    """Refuse what does not come from a page of this server.

    Browsers say so in ``Sec-Fetch-Site``; over plain HTTP, but for this machine, in ``Origin``
    only. A request that says neither is refused.

    Raises:
        HTTPException: 403.
    """
    site = request.headers.get("sec-fetch-site")
    if site is None:
        origin = urlsplit(request.headers.get("origin", "")).netloc
        site = "same-origin" if origin and origin in _own_hosts(request) else "cross-site"
    if site != "same-origin":
        raise HTTPException(403, "This was not sent by a page of this server.")


def _own_hosts(request: Request) -> set[str]:
    """Host and port as the browser has them: a proxy may pass on another name than its own."""
    configured = urlsplit(conf.get("api", "base_url", fallback="") or "").netloc
    return {request.headers.get("host", ""), configured} - {""}
