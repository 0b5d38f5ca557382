"""Settings as `--help` shows them: in groups, with one sentence each, as wide as the terminal."""

import ast
import inspect
import re
import shutil
import textwrap
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from dynamics.cli.flags import with_flags
from dynamics.cli.saved import SAVED
from dynamics.cli.volume import HELP
from dynamics.experiment.config import Config
from dynamics.recipe.config import LOSS_SETTINGS, Recipe

T = TypeVar("T")


def default_hint(default: str) -> str:
    """What follows the help of a flag; the text itself says what happens if a flag is left out that has no default."""
    return "" if default in ("", "None", "False") else f"(default: {default})"


Optionally = Annotated[T | None, tyro.conf.arg(help_behavior_hint=default_hint)]
"""A flag that may be left out."""

Switch = Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint=default_hint)]
"""A flag without a value, off unless it is given."""

Unnamed = Annotated[T, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")]
"""A record whose settings are flags by their own names."""

SAVED_FLAG = "config"

GROUPS: Mapping[str, tuple[str, ...]] = {
    "data": (
        "preset",
        "dataset",
        "data_dir",
        "image_size",
        "num_pairs",
        "num_images",
        "augmentation",
        "labels",
        "seed",
    ),
    "network": ("network", "width", "depth", "stem", "norm", "head", "projector", "dim"),
    "start": ("init", "init_scale", "init_layers", "init_bias", "multiplier"),
    "objective": ("objective", *LOSS_SETTINGS, "tuned_batch", "target_decay"),
    "optimisation": (
        *("steps", "batch", "optimiser", "learning_rate", "lr_fraction", "warmup", "decay", "weight_decay"),
        *("momentum", "clip", "precision", "center", "allow_collapse"),
    ),
    "kernel": ("kernel", "kernel_dtype", "kernel_memory", "kernel_cache"),
    "record": ("records", "probe_images", "probes", "checkpoint_seconds"),
    "further": (),
    "group_theory": ("group", "pairs", "distance", "window"),
}
"""Group of flags -> the settings in it, in the order of the help. A setting that is not listed is a further one."""

COMMON = (
    *("preset", "dataset", "num_pairs", "num_images", "seed", "network", "width", "dim", "init_scale", "multiplier"),
    *("objective", "steps", "learning_rate", "batch", "probes"),
)
"""Settings that `--help` lists; `--help-all` lists every one, in groups."""

SHORT: ContextVar[bool] = ContextVar("SHORT", default=False)
"""Whether only the common settings are there, because a short help is all that was asked for."""

_SavedRun = Annotated[
    Path | None,
    tyro.conf.arg(
        metavar="RUN",
        help="Run a saved run again, given its folder or its config.json.",
        help_behavior_hint=default_hint,
    ),
]

registry = ConstructorRegistry()


@registry.struct_rule
def settings_in_groups(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Flags of a record of settings, group by group; the record is put together again from what they say."""
    record = info.type if isinstance(info.type, type) else None
    declared = next((known for known in (Config, Recipe) if record is not None and issubclass(record, known)), None)
    if record is None or declared is None:
        return None
    default = info.default if isinstance(info.default, record) else _saved(record) or record()
    texts, hints = field_texts(declared), get_type_hints(record, include_extras=True)

    def flag(name: str) -> tuple[str, Any, Any]:
        shown = tyro.conf.arg(
            help=with_flags(first_sentence(texts.get(name, "")), texts), help_behavior_hint=default_hint
        )
        return name, Annotated[hints[name], shown], field(default=getattr(default, name))

    flags = {title: [flag(name) for name in names] for title, names in grouped_names(record).items()}
    if SHORT.get():
        flags = {"common": [each for group in flags.values() for each in group if each[0] in COMMON]}
    first = next(iter(flags.values()))
    first.insert(0, (SAVED_FLAG, _SavedRun, field(default=None)))  # it was read before, since it sets their defaults
    groups = {title: make_dataclass(title, listed, frozen=True) for title, listed in flags.items()}

    def put_together(**chosen: Any) -> Any:
        values = {name: value for group in chosen.values() for name, value in vars(group).items()}
        return record(**{name: value for name, value in values.items() if name != SAVED_FLAG})

    found = tuple(StructFieldSpec(title, group, group()) for title, group in groups.items())
    return StructConstructorSpec(instantiate=put_together, fields=found)


def _saved(record: type) -> Any:
    """The settings of the saved run that the command line names, if they are of this kind."""
    saved = SAVED.get()
    return saved.config if saved is not None and isinstance(saved.config, record) else None


def grouped_names(record: type) -> dict[str, list[str]]:
    """Names of the settings of a record, by group; groups that have none are left out."""
    group_of = {name: title for title, names in GROUPS.items() for name in names}
    found: dict[str, list[str]] = {title: [] for title in GROUPS}
    for setting in fields(record):
        found[group_of.get(setting.name, "further")].append(setting.name)
    ordered = {title: sorted(names, key=(*GROUPS[title], *names).index) for title, names in found.items()}
    return {title: names for title, names in ordered.items() if names}


def field_texts(record: type) -> dict[str, str]:
    """The string below each field of a dataclass, as one paragraph."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(record))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts


def first_sentence(text: str) -> str:
    """All up to the first full stop; the reference of the documentation has the rest.

    >>> first_sentence("Weights, by default 0.5. They are positive.")
    'Weights, by default 0.5.'
    """
    return re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0]


def command_line(commands: Mapping[str, Callable[..., None]], arguments: list[str]) -> Any:
    """Type of the whole command line: one of the commands, each with its description.

    The list of all commands has their first sentences; the help of one command has all of its paragraphs.
    """
    described = {
        name: tyro.conf.subcommand(name=name, constructor=command, description=_description(command, name in arguments))
        for name, command in commands.items()
    }
    for command in commands.values():
        command.__doc__ = unwrapped(inspect.cleandoc(command.__doc__ or ""))
    return Union[tuple(Annotated[Any, subcommand] for subcommand in described.values())]  # noqa: UP007


def unwrapped(docstring: str) -> str:
    r"""Join the lines of each parameter's text, which tyro shows as they stand.

    >>> unwrapped("Do.\n\nParameters\n---\nout\n    Folder for\n    results.")
    'Do.\n\nParameters\n---\nout\n    Folder for results.'
    """
    return re.sub(r"(?m)(?<=^    )(\S.*)\n    (?=\S)", r"\1 ", docstring)


def _description(command: Callable[..., None], whole: bool) -> str:
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\nParameters\n")[0].split("\n\n")
    if not whole:
        return " ".join(paragraphs[0].split())
    return paragraph(" ".join([*paragraphs, HELP]))


def paragraph(text: str) -> str:
    """The text wrapped as wide as the terminal.

    tyro joins lines that begin with a letter, and does not wrap what it has joined; an indented line stays a line.
    """
    width = shutil.get_terminal_size().columns
    return textwrap.fill(" ".join(text.split()), width, initial_indent=" ", subsequent_indent=" ")
