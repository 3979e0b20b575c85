"""Where an option's value comes from: command line, environment, file, last run, default.

In that order. click knows the first three and the last; `Command` adds what is remembered with the
reports, and refuses a file that holds words nobody knows.
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
"""A command's options by their names, `-` as `_`."""

SOURCES = {
    ParameterSource.COMMANDLINE: "command line",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "file",
    ParameterSource.DEFAULT: "default",
}


class Command(cloup.Command):
    """A command whose options may also stand in a file (`--config`) or be remembered.

    recall: gives, from the options, what the last run says of some of them; None for no memory.
    tables: of the file; the first that names an option counts.
    """

    recall: Callable[[Options], Mapping[str, Any]] | None = None
    tables: tuple[str, ...] = ()

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """`--help`, which no closed or full terminal turns into a failure."""
        return _told_calmly(super().get_help_option(ctx))

    def invoke(self, ctx: click.Context) -> Any:
        """Fill in what is remembered, then call the handler."""
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
        return _told_calmly(super().get_help_option(ctx))


def _told_calmly(option: click.Option | None) -> click.Option | None:
    def show(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
        if is_asked and not ctx.resilient_parsing:
            terminal.say(f"{ctx.get_help()}\n", sys.stdout)
            ctx.exit()

    if option is not None:
        option.callback = show
    return option


def fill_in_remembered(command: click.Command, ctx: click.Context) -> None:
    """Take options that nobody gave from the last run."""
    recall = getattr(command, "recall", None)
    if recall is None:
        return
    for name, value in recall(Options(**ctx.params)).items():
        if ctx.get_parameter_source(name) == ParameterSource.DEFAULT:
            ctx.params[name] = value
            ctx.meta.setdefault(REMEMBERED, set()).add(name)


def source_of(ctx: click.Context, name: str) -> str:
    """Where the value of an option comes from, in a word for people."""
    if name in ctx.meta.get(REMEMBERED, ()):
        return "last run"
    source = ctx.get_parameter_source(name)
    return SOURCES.get(source, "default") if source is not None else "default"


def use_file(ctx: click.Context, _: click.Parameter, file: Path | None) -> Path | None:
    """The callback of `--config`: the file's words become defaults.

    Raises:
        click.BadParameter: the file cannot be read, or holds what no option is.
    """
    if file is not None:
        tables = getattr(ctx.command, "tables", ()) or (ctx.info_name or "",)
        try:
            words = read_settings(file, _options_of(ctx.find_root().command))
        except UsageError as error:
            raise click.BadParameter(str(error)) from None
        known = {name: True for param in ctx.command.params if (name := param.name)}
        found: dict[str, Any] = {}
        for table in reversed(tables):
            found |= {name: value for name, value in words.get(table, {}).items() if name in known}
        ctx.default_map = found
    return file


def _options_of(group: click.Command) -> dict[str, dict[str, click.Parameter]]:
    commands = group.commands if isinstance(group, click.Group) else {}
    return {
        name: {param.name: param for param in command.params if param.name}
        for name, command in commands.items()
    }


def read_settings(
    file: Path, known: Mapping[str, Mapping[str, click.Parameter]]
) -> dict[str, dict[str, Any]]:
    """The tables of a file of settings, with names as in code and values as words.

    Args:
        known: command to its parameters by name.

    Raises:
        UsageError: unreadable, no TOML, a table or an option that nobody knows, a list where one
            value belongs.
    """
    try:
        with file.open("rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        raise UsageError(f"cannot read {file} ({error.strerror}); needed: a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no TOML: {error}.") from error
    found: dict[str, dict[str, Any]] = {}
    for table, entries in document.items():
        if table not in known or not isinstance(entries, dict):
            hint = did_you_mean(table, known)
            raise UsageError(
                f"{file}: found {table!r}; allowed: one table for a command, such as [score].{hint}"
            )
        found[table] = {}
        for word, value in entries.items():
            name = word.replace("-", "_")
            if name not in known[table] or name == "config":
                hint = did_you_mean(word, [each.replace("_", "-") for each in known[table]])
                raise UsageError(f"{file}: [{table}] knows no option {word!r}.{hint}")
            found[table][name] = _as_words(file, table, word, value, known[table][name])
    return found


def _as_words(file: Path, table: str, word: str, value: Any, param: click.Parameter) -> Any:
    """Values as the command line has them, so that one converter checks them all."""
    many = getattr(param, "multiple", False)
    values = value if isinstance(value, list) and many else [value]
    if any(isinstance(each, list | dict) for each in values):
        allowed = "a value, or a list of values" if many else "one value"
        raise UsageError(f"{file}: [{table}] {word}: found {value!r}; allowed: {allowed}.")
    is_flag = getattr(param, "is_flag", False)
    if is_flag and not isinstance(value, bool):
        raise UsageError(f"{file}: [{table}] {word}: found {value!r}; allowed: true or false.")
    words = [each if is_flag else str(each) for each in values]
    return words if many else words[0]
