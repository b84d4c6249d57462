"""``sluice``: the commands, in the order in which a new user meets them."""

from __future__ import annotations

import typer

from sluice.cli import (
    approve,
    check,
    compose_init,
    demo,
    dsn,
    extract,
    inspect,
    instance,
    notify,
    psql,
    rejects,
    replay,
    run,
    status,
    test,
    version,
    withdraw,
)
from sluice.cli.file_commands import FileCommand

app = typer.Typer(
    name="sluice",
    help="Drop a file in the landing zone; query a tested mart in PostgreSQL seconds later.",
    epilog="Settings are SLUICE_* environment variables; the README lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)

app.command(name="demo")(demo.demo)
app.command(name="up")(instance.up)
app.command(name="down")(instance.down)
app.command(name="status")(status.status)
app.command(name="check")(check.check)
app.command(name="extract")(extract.extract)
app.command(name="run")(run.run)
app.command(name="inspect", cls=FileCommand)(inspect.inspect)
app.command(name="rejects", cls=FileCommand)(rejects.rejects)
app.command(name="withdraw", cls=FileCommand)(withdraw.withdraw)
app.command(name="replay", cls=FileCommand)(replay.replay)
app.command(name="approve")(approve.approve)
app.command(name="refuse")(approve.refuse)
app.command(name="notify")(notify.notify)
app.command(name="dsn")(dsn.dsn)
app.command(
    name="psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)(psql.psql)
app.command(
    name="test", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)(test.test)
app.command(name="compose-init")(compose_init.compose_init)
app.command(name="version")(version.version)


def main() -> None:
    """Run the command that the arguments name."""
    app(prog_name="sluice")


if __name__ == "__main__":
    main()
