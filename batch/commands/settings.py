"""Sources of an option's value, in this order: command line, environment, file, last run, default.

click handles command line, environment and default. `Command` adds the file, whose unknown words it
refuses, and the last run.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import cloup
from click.core import ParameterSource

from batch.core.errors import UsageError
from batch.core.text import did_you_mean
from batch.runtime import logs, terminal

PREFIX = "MELANOMA_BATCH"
CONFIG = f"{PREFIX}_CONFIG"
REMEMBERED = "remembered"
Options = SimpleNamespace
"""A command's options by name, with `_` for `-`."""

SOURCES = {
    ParameterSource.COMMANDLINE: "command line",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "file",
    ParameterSource.DEFAULT: "default",
}


class Command(cloup.Command):
    """A command whose options may also come from a file (`--config`) or from the last run.

    recall: gives values of the last run for some options; None for a command without.
    recall_to_show: as recall, for `config`: also what the run itself takes over.
    tables: of the file; the first that holds an option counts. Variables of the environment
        likewise: MELANOMA_BATCH_INVENTORY_OUTPUT, then MELANOMA_BATCH_SCORE_OUTPUT.
    """

    recall: Callable[[Options], Mapping[str, Any]] | None = None
    recall_to_show: Callable[[Options], Mapping[str, Any]] | None = None
    tables: tuple[str, ...] = ()

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """`--help`, which does not fail on a closed or full terminal."""
        return _with_safe_help(super().get_help_option(ctx))

    def invoke(self, ctx: click.Context) -> Any:
        """Fill in values of the last run, then call the handler."""
        fill_in_remembered(self, ctx)
        if ctx.params.pop("quiet", False):
            terminal.set_quiet(True)
        if ctx.params.pop("verbose", False):
            logs.show_on_stderr(True)
        ctx.params.pop("config", None)
        return super().invoke(ctx)


class Group(cloup.Group):
    """The group of all commands."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """As `Command.get_help_option`."""
        return _with_safe_help(super().get_help_option(ctx))


def _with_safe_help(option: click.Option | None) -> click.Option | None:
    def show(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
        if is_asked and not ctx.resilient_parsing:
            terminal.say(f"{ctx.get_help()}\n", sys.stdout)
            ctx.exit()

    if option is not None:
        option.callback = show
    return option


def fill_in_remembered(command: click.Command, ctx: click.Context, to_show: bool = False) -> None:
    """Take options that were not given from the last run.

    Args:
        to_show: also those that the run itself takes over.

    Raises:
        UsageError: the last run cannot be read, and how much may identify a patient was not given.
    """
    recall = getattr(command, "recall_to_show" if to_show else "recall", None)
    if recall is None:
        return
    try:
        recalled = recall(Options(**ctx.params))
    except UsageError:
        if ctx.get_parameter_source("identifiers") != ParameterSource.DEFAULT:
            return
        raise
    for name, value in recalled.items():
        if ctx.get_parameter_source(name) == ParameterSource.DEFAULT:
            ctx.params[name] = value
            ctx.meta.setdefault(REMEMBERED, set()).add(name)


def source_of(ctx: click.Context, name: str) -> str:
    """Where the value of an option comes from, in words for people."""
    if name in ctx.meta.get(REMEMBERED, ()):
        return "last run"
    source = ctx.get_parameter_source(name)
    return SOURCES.get(source, "default") if source is not None else "default"


def use_file(ctx: click.Context, _: click.Parameter, file: Path | None) -> Path | None:
    """The callback of `--config`: values of the file become defaults.

    Raises:
        click.BadParameter: the file cannot be read, or holds an unknown option.
    """
    if file is not None:
        tables = getattr(ctx.command, "tables", ()) or (ctx.info_name or "",)
        try:
            words = read_settings(file, _options_of(ctx.find_root().command))
        except UsageError as error:
            raise click.BadParameter(str(error)) from None
        names = {name: True for param in ctx.command.params if (name := param.name)}
        defaults: dict[str, Any] = {}
        for table in reversed(tables):
            defaults |= {
                name: value for name, value in words.get(table, {}).items() if name in names
            }
        ctx.default_map = defaults
    return file


_NOT_OF_A_FILE = ("config", "help")


def _options_of(group: click.Command) -> dict[str, dict[str, click.Parameter]]:
    commands = group.commands if isinstance(group, click.Group) else {}
    return {
        name: {param.name: param for param in command.params if param.name}
        for name, command in commands.items()
    }


def read_settings(
    file: Path, commands: Mapping[str, Mapping[str, click.Parameter]]
) -> dict[str, dict[str, Any]]:
    """Read the tables of a file of settings, with names as in code and values as words.

    Args:
        file: TOML.
        commands: command to its parameters by name.

    Raises:
        UsageError: the file is unreadable or no TOML, a table or an option is unknown, or there is
            a list where one value is needed.
    """
    document = _toml_of(file)
    settings: dict[str, dict[str, Any]] = {}
    for table, entries in document.items():
        if table not in commands or not isinstance(entries, dict):
            hint = did_you_mean(table, commands)
            raise UsageError(
                f"{file}: found {table!r}; allowed: one table for a command, such as [score].{hint}"
            )
        settings[table] = {}
        spelt: dict[str, str] = {}
        for word, value in entries.items():
            name = word.replace("-", "_")
            if name not in commands[table] or name in _NOT_OF_A_FILE:
                hint = did_you_mean(
                    word, [n.replace("_", "-") for n in commands[table] if n not in _NOT_OF_A_FILE]
                )
                raise UsageError(f"{file}: [{table}] knows no option {word!r}.{hint}")
            if name in spelt:
                raise UsageError(
                    f"{file}: [{table}] has {spelt[name]!r} and {word!r}, which are one option. "
                    "Leave one of them out."
                )
            spelt[name] = word
            settings[table][name] = _as_words(file, table, word, value, commands[table][name])
    return settings


_MOST_BYTES = 1 << 20


def _toml_of(file: Path) -> dict[str, Any]:
    try:
        if not file.is_file():  # a pipe would be waited for, a device never ends
            found = "No such file or directory" if not file.exists() else "no regular file"
            raise UsageError(f"cannot read {file} ({found}); needed: a TOML file.")
        data = file.read_bytes()[: _MOST_BYTES + 1]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"cannot read {file} ({why}); needed: a TOML file.") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{file} has more than 1 MiB; needed: a TOML file of settings.")
    try:
        return tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{file} is no TOML: it is not UTF-8 (byte {error.start + 1}). Save it as UTF-8."
        ) from error
    except RecursionError as error:
        raise UsageError(f"{file} is nested too deeply. Correct the file.") from error
    except ValueError as error:  # TOMLDecodeError, and numbers of too many digits
        raise UsageError(f"{file} is no TOML: {error}. Correct the file.") from error


def _as_words(file: Path, table: str, word: str, value: Any, param: click.Parameter) -> Any:
    """Values in the form of the command line, so that the same converter checks them."""
    many = getattr(param, "multiple", False)
    values = value if isinstance(value, list) and many else [value]
    if any(isinstance(item, list | dict) for item in values):
        allowed = "a value, or a list of values" if many else "one value"
        raise UsageError(f"{file}: [{table}] {word}: found {value!r}; allowed: {allowed}.")
    is_flag = getattr(param, "is_flag", False)
    if is_flag and not isinstance(value, bool):
        raise UsageError(f"{file}: [{table}] {word}: found {value!r}; allowed: true or false.")
    if not is_flag and any(isinstance(item, bool) for item in values):
        raise UsageError(f"{file}: [{table}] {word}: found {value!r}; allowed: text or a number.")
    words = [item if is_flag else str(item) for item in values]
    return words if many else words[0]
