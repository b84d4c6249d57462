"""Telling people what happened: the ledger's news, as messages to the addresses of connections."""

from __future__ import annotations

from sluice.notifying.telling import Told, send_test, tell, tell_or_log

__all__ = ["Told", "send_test", "tell", "tell_or_log"]
