"""Commands that take a file's name, which may begin with a dash."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

HINT = ". A file's name that begins with a dash goes last, after -- by itself."


class FileCommand(TyperCommand):
    """Says how such a name is given, where it was taken for an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            TyperException: they are not as they must be.
        """
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if hasattr(error, "option_name"):
                vars(error)["message"] += HINT
            raise
