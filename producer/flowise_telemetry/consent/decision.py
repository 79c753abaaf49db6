"""The decision whether events may be sent.

One opt-out anywhere is enough: no opt-in, not even an argument in the program, overrides it. The places are checked in
this order, and the first opt-out decides:

1. the argument ``enabled``: ``False``, or anything else that is not plainly a yes
2. ``DISABLE_FLOWISE_TELEMETRY`` in the process environment
3. ``DO_NOT_TRACK`` in the process environment
4. either variable in the ``.env`` file (``env_file=``, else ``.env`` in the working directory)
5. the choice stored by ``flowise-telemetry disable``
6. the choice stored by the app itself, ``Telemetry.set_enabled(False)``

A place that exists and cannot be read (a file without permission, a broken line that names an opt-out) counts as an
opt-out. Without any opt-out, the first opt-in in the same order is named as the decider; without either, the default is
on. Nothing is checked after an opt-out, so one in the environment opens no file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flowise_telemetry import environment
from flowise_telemetry.consent.env_file import EnvFile
from flowise_telemetry.consent.opt_out_lines import opt_out_named
from flowise_telemetry.consent.stored_choice import StoredChoiceError, read_app_choice, read_choice

__all__ = ["APP_OPT_OUT", "Consent", "decide", "environment_opt_out", "stored_consent", "unusual_opt_out"]

_SHOWN_CHARACTERS = 5  # "false"


@dataclass(frozen=True, slots=True)
class Consent:
    """The decision, and a description of the place that made it."""

    enabled: bool
    decided_by: str


APP_OPT_OUT = Consent(False, "the app's own settings (set_enabled(False))")


def environment_opt_out(environ: Mapping[str, str]) -> str | None:
    """Return the name of the opt-out variable that is set, if any."""
    for name in environment.OPT_OUTS:
        for spelling in (name, name.lower()):  # as for http_proxy, people write either
            if environment.is_set(environ, spelling):
                return spelling
    return None


def unusual_opt_out(environ: Mapping[str, str]) -> str | None:
    """Return the opt-out variable that is set under a name that is not quite its own, by case or spelling.

    Looks at every variable: not for each event.
    """
    for spelling in list(environ):
        name = opt_out_named(spelling)
        if name is not None and environment.is_set(environ, spelling):
            return name
    return None


def decide(environ: Mapping[str, str], read_file: Callable[[], EnvFile], *, argument: object = None) -> Consent:
    """Return the decision. ``read_file`` is called only if no place before it opted out.

    ``argument`` is a bool or any spelling of one (``environment.is_yes``); None if there is none.
    """
    if argument is not None and not environment.is_yes(argument):
        return Consent(False, f"the argument enabled={_spelling(argument)}")
    if name := environment_opt_out(environ) or unusual_opt_out(environ):
        return Consent(False, f"{name} in the environment")
    file = read_file()
    if file.opt_out:
        return Consent(False, file.opt_out)
    stored = stored_consent(environment.over_file(environ, file.values))
    for each in (stored, earlier_choice(file)):
        if each is not None and not each.enabled:
            return each
    if argument is not None:
        return Consent(True, f"the argument enabled={_spelling(argument)}")
    return _environment_opt_in(environ, file) or stored or Consent(True, "the default")


def _spelling(argument: object) -> str:
    """Return the argument as the program spelled it; no more than a type for what is neither a yes nor a no."""
    known = isinstance(argument, bool | int | str) and len(str(argument)) <= _SHOWN_CHARACTERS
    return repr(argument) if known else f"<{type(argument).__name__}>"


def _environment_opt_in(environ: Mapping[str, str], file: EnvFile) -> Consent | None:
    for values, place in ((environ, "the environment"), (file.values, str(file.path))):
        for name in environment.OPT_OUTS:
            if environment.is_set(values, name) is False:
                return Consent(True, f"{name} in {place}")
    return None


def earlier_choice(file: EnvFile) -> Consent | None:
    """Return what is stored in a folder that a found ``.env`` names: nothing is written there, but a no counts."""
    return stored_consent(file.choice_values) if file.choice_values else None


def stored_consent(environ: Mapping[str, str]) -> Consent | None:
    """Return what is stored: an opt-out by command, an opt-out by the app, an opt-in by command, or None."""
    try:
        choice, app_choice = read_choice(environ), read_app_choice(environ)
    except StoredChoiceError as error:
        return Consent(False, str(error))
    if choice is not False and app_choice is False:
        return APP_OPT_OUT
    if choice is None:
        return None
    return Consent(choice, f"the stored choice (flowise-telemetry {'enable' if choice else 'disable'})")
