"""A load that is killed (kill -9) at one of its steps."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

from sluice.loading import load_source
from sluice.registry import Source
from sluice.settings import Settings


def killed_load(
    settings: Settings, source: Source, where: str, name: str, moment: str, call: int = 1
) -> int:
    """Load in a child that is killed at a step.

    Args:
        settings: the instance.
        source: what is loaded.
        where: the module that the step is called from.
        name: the step there, such as ``store`` or ``storing.store``.
        moment: ``before`` or ``after``.
        call: which call of the step.

    Returns:
        How the child ended, as ``subprocess`` says it: 0 where it never came to the step.
    """
    child = os.fork()
    if child == 0:
        load_and_die(settings, source, where, name, moment, call)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def load_and_die(
    settings: Settings, source: Source, where: str, name: str, moment: str, call: int = 1
) -> NoReturn:
    """The same in this process, which does not outlive it."""
    holder: Any = importlib.import_module(where)
    *owners, attribute = name.split(".")
    for owner in owners:
        holder = getattr(holder, owner)
    real, calls = getattr(holder, attribute), 0

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **named)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    try:
        setattr(holder, attribute, dying)
        load_source(settings, source)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
    os._exit(0)
