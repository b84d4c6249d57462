"""The lines of ``sluice status`` that ask for a person's attention."""

from __future__ import annotations

from rich.markup import escape

from sluice.cli.output import console
from sluice.cli.run import print_warnings
from sluice.pipeline.attention import Attention

COLOURS = {"warn": "yellow", "error": "red"}


def print_attention(attention: Attention) -> None:
    """Write what is late, held, awaited and warned of; nothing where nothing is."""
    for state in attention.freshness:
        if state.state != "fresh":
            console.print(f"[{COLOURS[state.state]}]late:[/] {escape(str(state))}")
    for held in attention.held:
        console.print(f"[yellow]held:[/] the publication of {held.pipeline} waits for approval")
        for reason in held.reasons:
            console.print(f"  {escape(reason)}")
        console.print(f"  ./sluice approve {held.pipeline}, or ./sluice refuse {held.pipeline}")
    for pipeline, inputs in attention.inputs.items():
        if inputs.there and inputs.missing:
            console.print(f"[yellow]awaited:[/] {pipeline}: {escape(str(inputs))}")
    for warnings in attention.warnings.values():
        print_warnings(warnings)
