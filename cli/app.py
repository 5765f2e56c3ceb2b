"""The commands, joined into one program."""

import os
import sys
from collections.abc import Sequence
from importlib import metadata

from cyclopts import App, CycloptsError

from cli.commands import alerts, audit, backup, context, demo, diagnostics, events, keys, projections, routes, stack
from cli.output import EXIT_FAILED, EXIT_USAGE, CommandError, say

app = App(
    name="gatehouse",
    help="An API gatehouse: it authenticates, limits and provably records every request.",
    version=lambda: metadata.version("gatehouse"),
)
stack.register(app)
demo.register(app)
for group in (context, keys, routes, audit, events, alerts, backup, projections, diagnostics):
    app.command(group.app)
app.command(backup.restore_app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and leave with its exit code."""
    try:
        app(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        sys.exit(EXIT_USAGE)
    except CommandError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:  # whoever read along, `head` say, has seen enough; what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
