"""Options that several commands share, and how a command is declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import cloup

from batch.commands.settings import CONFIG, PREFIX, Command, Options, use_file
from batch.commands.value_types import FILE, PLACE, TEXT

PROGRAM = "melanoma-batch"
DEFAULT_MODEL = "dermoscopy-lite2"
Handler = Callable[[Options, Sequence[str]], int]
"""Takes the options and the words after `--`; gives the exit code."""
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

option, group = cloup.option, cloup.option_group


def command(
    name: str,
    summary: str,
    description: str = "",
    *parts: Decorator,
    recall: Callable[[Options], Mapping[str, Any]] | None = None,
    recall_to_show: Callable[[Options], Mapping[str, Any]] | None = None,
    tables: tuple[str, ...] = (),
    epilog: str = "",
) -> Callable[[Handler], Command]:
    """Make a command of a handler.

    Args:
        name: of the command.
        summary: its line in the list of commands.
        description: the beginning of its help; empty for the summary.
        parts: its arguments and groups of options, in the order of the help.
        recall, recall_to_show, tables: see `settings.Command`.
        epilog: the end of its help.
    """

    def declared(handler: Handler) -> Command:
        def call(**words: Any) -> int:
            return handler(Options(**words), click.get_current_context().obj or ())

        call.__doc__ = description or f"{summary[0].upper()}{summary[1:]}."
        decorated: Callable[..., Any] = call
        for part in reversed((*parts, _SETTINGS)):
            decorated = part(decorated)
        made: Command = cloup.command(name, cls=Command, short_help=summary, epilog=epilog)(
            decorated
        )
        made.recall = recall
        made.recall_to_show = recall_to_show or recall
        made.tables = tables or (name,)
        for param in made.params:
            if len(made.tables) > 1 and param.name not in _OF_EVERY_COMMAND:
                param.envvar = [variable(table, param.name or "") for table in made.tables]
        return made

    return declared


_OF_EVERY_COMMAND = ("config", "quiet", "verbose", "json")


def variable(command: str, option_name: str) -> str:
    """The variable of the environment for an option of a command."""
    return f"{PREFIX}_{command}_{option_name}".replace("-", "_").upper()


def argument(name: str, metavar: str, text: str, type: Any, command: str, **more: Any) -> Decorator:  # noqa: A002
    """An argument; like an option it may come from environment and file."""
    return cloup.argument(
        name, metavar=metavar, type=type, help=text,
        envvar=f"{PREFIX}_{command.upper()}_{name.upper()}", **more,
    )  # fmt: skip


def reports_argument(command: str) -> Decorator:
    """The argument REPORTS of commands that read published nights."""
    return argument("reports", "REPORTS", "folder with the reports, or s3://…", PLACE, command)


def model_option(text: str = "bundled model or artifact folder", **more: Any) -> Decorator:
    """`--model`."""
    return option("--model", metavar="ID_OR_FOLDER", type=TEXT, help=text, **more)


def map_label_option() -> Decorator:
    """`--map-label`, for commands that read labels."""
    return option(
        "--map-label", metavar="LABEL=CLASS", type=TEXT, multiple=True,
        help="what a label means: a class of the model, or 'not melanoma'; nothing after = leaves "
        "such rows out; may be repeated",
    )  # fmt: skip


def positive_option() -> Decorator:
    """`--positive`, for commands that read labels."""
    return option(
        "--positive", metavar="VALUE", type=TEXT, multiple=True,
        help="a label that means melanoma, e.g. 1 (0 then excludes it) or MM; may be repeated",
    )  # fmt: skip


def map_option() -> Decorator:
    """`--map`, for commands that read labels."""
    return option(
        "--map", metavar="THEIRS=OURS", type=TEXT, multiple=True,
        help="the column THEIRS of the labels is our column OURS, e.g. Befund=label; may be "
        "repeated",
    )  # fmt: skip


def json_option() -> Decorator:
    """`--json`, for commands whose output is their purpose."""
    return option("--json", is_flag=True, help="print JSON, for a machine")


_SETTINGS: Decorator = group(
    "Settings",
    option(
        "--config", metavar="FILE", type=FILE, is_eager=True, callback=use_file, envvar=CONFIG,
        help="TOML file with one table for a command; what stands on the command line or in "
        f"{PREFIX}_COMMAND_OPTION comes first",
    ),
    option("--quiet", is_flag=True, help="print nothing but what went wrong"),
    option("--verbose", is_flag=True, help="print the log's lines on standard error, too"),
)  # fmt: skip
