"""argparse that says what was probably meant by a mistyped option, command or choice."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from batch.core.text import did_you_mean


class CommandParser(argparse.ArgumentParser):
    """As argparse's own; each subcommand is one of these, too."""

    _given: Sequence[str] = ()

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Words that nobody knows are told by the command that they were given to."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            command = self._commands().get(getattr(options, "command", ""), self)
            command.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser`."""
        if args is not None:
            self._given = [str(word) for word in args]
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and with it each mistyped option: one that must be given is missing
        when its name is misspelt.
        """
        own = () if self._commands() else self._given
        names = [word.partition("=")[0] for word in own if word.startswith("--")]
        known = self._option_string_actions
        hints = [
            f"{n}:{hint}" for n in names if n not in known and (hint := did_you_mean(n, known))
        ]
        super().error(". ".join([message.rstrip("."), *hints]))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            hint = did_you_mean(str(value), map(str, action.choices or ()))
            raise argparse.ArgumentError(action, f"{error.message}.{hint}") from None

    def _commands(self) -> dict[str, CommandParser]:
        return next(
            (
                dict(action.choices)
                for action in self._actions
                if isinstance(action, argparse._SubParsersAction)
            ),
            {},
        )
