"""Flags of `nicodec compress` that codec families bring with their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nicodec_cli.console import UsageError

if TYPE_CHECKING:
    from nicodec.codecs.options import Option


def with_flags_for(command: Callable[..., None], arguments: Sequence[str]) -> Callable[..., None]:
    """Give a command the flags of all installed families, if the arguments ask for others than its own.

    The families are imported for that, and torch with them; without such flags, usage is told at once.

    Args:
        command: takes `given`, the values of such flags by name.
        arguments: of the command line.

    """
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "given"]
    known = {flag for parameter in own for flag in _flags_of(parameter)}
    if all(_flag_in(argument) in known for argument in arguments if argument.startswith("-") and argument != "-"):
        return _with_parameters(command, own, [])
    families = _families_by_option()
    place = next(k for k, parameter in enumerate(own) if parameter.name == "recursive")
    own[place:place] = [_parameter(option, names) for option, names in families.items()]
    return _with_parameters(command, own, [option.name for option in families])


def _with_parameters(
    command: Callable[..., None], parameters: list[inspect.Parameter], given: list[str]
) -> Callable[..., None]:
    """The command with these parameters; those named in `given` are handed on together."""

    def extended(**values: Any) -> None:
        options = {name: values.pop(name) for name in given}
        command(**values, given={name: value for name, value in options.items() if value is not None})

    extended.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    extended.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    extended.__doc__ = command.__doc__
    return extended


def _flags_of(parameter: inspect.Parameter) -> tuple[str, ...]:
    return tuple(parameter.annotation.__metadata__[0].param_decls or ())


def _flag_in(argument: str) -> str:
    """The flag of an argument that begins with a dash: "--bpp" of "--bpp=1", "-q" of "-q50"."""
    return argument.partition("=")[0] if argument.startswith("--") else argument[:2]


def _families_by_option() -> dict[Option, list[str]]:
    """Every option, and the families that have it; the first one's help and default are shown."""
    from nicodec.codecs import family, family_names

    found: dict[str, tuple[Option, list[str]]] = {}
    for name in family_names():
        for option in family(name).Options.described():
            found.setdefault(option.name, (option, []))[1].append(name)
    return dict(found.values())


def _parameter(option: Option, families: Sequence[str]) -> inspect.Parameter:
    flags = [option.flag, *filter(None, [option.short])]
    default = option.default_text or (None if option.default is None else str(option.default))
    kind = typer.Option(
        *flags,
        metavar=option.metavar or option.kind.__name__.upper(),
        help=f"{', '.join(families)}: {option.help}",
        show_default=default or False,
    )
    return inspect.Parameter(
        option.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[option.kind | None, kind],
    )


def check_family_flags(model: str, given: dict[str, Any]) -> None:
    """Raise UsageError where a flag is given that the model's family does not have, or a value that it refuses."""
    if not given:
        return
    from nicodec.codecs import family
    from nicodec.errors import QualityError
    from nicodec.zoo import family_of, find_model

    options = family(family_of(find_model(model))).Options
    known = {option.name: option for option in options.described()}
    for name, value in given.items():
        flag = "--" + name.replace("_", "-")
        if name not in known:
            has = ", ".join(option.flag for option in known.values()) or "none"
            raise UsageError(f"{flag} is not for --codec {model}; its own flags: {has}")
        try:
            known[name].check(value)
        except QualityError as error:
            raise UsageError(f"{flag}: {error}") from error
