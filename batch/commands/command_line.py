"""The command line: the group of all commands, and the commands `config` and `completion`."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import cloup

from batch import __version__
from batch.commands.compare import COMPARE_COMMANDS
from batch.commands.evaluation import EVALUATION
from batch.commands.export import EXPORT_COMMANDS
from batch.commands.operations import OPERATIONS
from batch.commands.outcomes import OUTCOMES_COMMANDS
from batch.commands.scoring import SCORING
from batch.commands.settings import (
    PREFIX,
    Command,
    Group,
    Options,
    fill_in_remembered,
    source_of,
)
from batch.commands.shared import PROGRAM, variable
from batch.commands.training import TRAINING
from batch.commands.value_types import OneOf
from batch.core.errors import ExitCode
from batch.core.text import MASK, escaped, is_secret, without_password
from batch.runtime import logs, terminal
from batch.runtime.terminal import print_answer

_NOT_SHOWN = ("help", "config", "quiet", "verbose")
_SHELLS = ("bash", "zsh", "fish")
_OWN = ("config", "completion")


def _show_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        terminal.say(f"{PROGRAM} {__version__}\n", sys.stdout)
        ctx.exit()


@cloup.group(
    PROGRAM,
    cls=Group,
    help="Score an archive of dermoscopy images with a Keras model in an Apache Beam pipeline. "
    "Scores rank images for a person's review; they are no diagnosis.",
    epilog=f"Every option may also come from the environment, as {PREFIX}_COMMAND_OPTION, or from "
    f"a TOML file (--config): see `{PROGRAM} config`.",
    context_settings={
        "auto_envvar_prefix": PREFIX,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 80,
        "terminal_width": 80,
        "formatter_settings": cloup.HelpFormatter.settings(max_width=80, col1_max_width=28),
    },
)
@cloup.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="print the version", allow_from_autoenv=False,
)  # fmt: skip
def command_line() -> None:
    """All commands."""


@cloup.command(
    "config",
    cls=Command,
    short_help="values of a command's options, and where each comes from",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@cloup.argument(
    "command", metavar="[COMMAND]", required=False, help="default: score",
    shell_complete=lambda ctx, param, incomplete: [
        name for name in _command_names(ctx.find_root().command)
        if name.startswith(incomplete) and name not in _OWN
    ],
)  # fmt: skip
@cloup.argument(
    "words", metavar="[WORDS]...", nargs=-1, type=click.UNPROCESSED,
    help="what would follow the command",
)  # fmt: skip
def config(command: str | None, words: tuple[str, ...]) -> int:
    """Print every option of COMMAND with its value and where that comes from: command line,
    environment, file, last run, default. Runs nothing; secrets are masked. Values with which
    `score` would not begin are refused below the table, with exit code 2.
    """
    name = command or "score"
    group = click.get_current_context().find_root().command
    target = group.commands.get(name) if isinstance(group, click.Group) else None
    if target is None or name in _OWN:
        allowed = [known for known in _command_names(group) if known not in _OWN]
        raise click.exceptions.NoSuchCommand(name, possibilities=allowed)
    table, values = config_table(target, words)
    print_answer(table)
    if name in ("score", "inventory") and values.get("archive") and values.get("output"):
        from batch.commands.job_config import check_values

        check_values(Options(**values), click.get_current_context().obj or ())
    return ExitCode.COMPLETE


def config_table(command: click.Command, words: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """A line with option, value and source for each option, in the order of the command's help.

    Returns:
        the lines, and the values by the names of the options.
    """
    relaxed = copy.copy(command)
    relaxed.params = [copy.copy(param) for param in command.params]
    for param in relaxed.params:
        param.required = False
    root = click.get_current_context().find_root()
    with relaxed.make_context(command.name, list(words), parent=root) as context:
        fill_in_remembered(command, context, to_show=True)
        rows = [
            (_shown_name(param), _shown(param, context.params[param.name]),
             source_of(context, param.name))
            for param in command.params
            if param.name in context.params and param.name not in _NOT_SHOWN
        ]  # fmt: skip
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)]
    lines = [f"{name:{widths[0]}}  {value:{widths[1]}}  {source}\n" for name, value, source in rows]
    return "".join(lines), context.params


def _command_names(group: click.Command) -> list[str]:
    return list(group.commands) if isinstance(group, click.Group) else []


def _shown_name(param: click.Parameter) -> str:
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.make_metavar(
        click.get_current_context()
    )  # fmt: skip


def _shown(param: click.Parameter, value: Any) -> str:
    name = (param.name or "").replace("_", "-")
    if value in (None, ()):
        return "-"
    if is_secret(name):
        return MASK
    values = value if isinstance(value, tuple) else (value,)
    return ", ".join(escaped(without_password(str(item))) for item in values)


@cloup.command("completion", cls=Command, short_help="print the completion script of a shell")
@cloup.argument("shell", type=OneOf(*_SHELLS), help="bash, zsh or fish")
def completion(shell: str) -> int:
    """Print what makes SHELL complete commands, options and paths.

    \b
    bash:  melanoma-batch completion bash > ~/.local/share/bash-completion/completions/melanoma-batch
    zsh:   melanoma-batch completion zsh > a folder of $fpath, named _melanoma-batch
    fish:  melanoma-batch completion fish > ~/.config/fish/completions/melanoma-batch.fish
    """  # noqa: E501
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise click.BadParameter(f"found {shell}; allowed: {', '.join(_SHELLS)}")
    group = click.get_current_context().find_root().command
    print_answer(completion_class(group, {}, PROGRAM, COMPLETE).source() + "\n")
    return ExitCode.COMPLETE


COMPLETE = "_MELANOMA_BATCH_COMPLETE"
"""Environment variable by which a shell asks for completions; click's own convention."""

for _title, _commands in (
    ("Score", SCORING),
    ("Look after it", OPERATIONS),
    ("Hand it over", EXPORT_COMMANDS),
    ("Measure", (*EVALUATION, *OUTCOMES_COMMANDS, *COMPARE_COMMANDS)),
    ("Make models", TRAINING),
    ("This command line", (config, completion)),
):
    command_line.section(_title, *_commands)


def run(words: Sequence[str], beam: Sequence[str]) -> int:
    """Parse the words, call the command, and return the exit code.

    Args:
        words: after the program's name, up to `--`.
        beam: words after `--`.

    Raises:
        click.UsageError: the words cannot be parsed.
        BatchError, KeyboardInterrupt: as the command raises.
    """
    terminal.set_quiet(False)
    logs.show_on_stderr(False)
    for name in unknown_variables(os.environ):
        terminal.say(f"{PROGRAM}: {name} in the environment is no option; ignored.\n", sys.stderr)
    code = command_line.main(
        list(words), prog_name=PROGRAM, complete_var=COMPLETE, standalone_mode=False, obj=beam
    )
    return int(code or 0)


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """Variables that begin like an option's and are none: a setting that was misspelt is lost.

    Only variables of a command are looked at; others with our prefix may belong to a site.
    """
    known = set()
    starts = tuple(variable(name, "") for name in command_line.commands)
    for name, command in command_line.commands.items():
        known |= {variable(name, param.name) for param in command.params if param.name}
    return sorted(name for name in environment if name.startswith(starts) and name not in known)


def options_of(name: str, words: Sequence[str]) -> Any:
    """The options with which a command would be called; nothing is called."""
    command = command_line.commands[name]
    with command.make_context(name, list(words)) as context:
        return Options(**context.params)
