"""Settings in the errors of the library, written as the flags of the command line.

The library names its arguments, since it does not know who called it; here they become flags:

>>> with_flags('`dim` is too large; lower it, or give `network="mlp"`.', {"dim", "network"})
'--dim is too large; lower it, or give --network mlp.'
"""

import re
from collections.abc import Collection

_NAMED = re.compile(r'`(?P<name>\w+)(?:=(?:"(?P<text>[^"`]*)"|(?P<number>[^"`]*)))?`')
_FLAG_OF = {"dtype": "kernel_dtype"}  # arguments of the library that have another name on the command line


def with_flags(message: str, settings: Collection[str]) -> str:
    """Write the settings that a message names, `dim` or `dim=3`, as --dim or --dim 3.

    Names in backticks that are no settings stay as they are.
    """

    def flag(found: re.Match[str]) -> str:
        name = _FLAG_OF.get(found["name"], found["name"])
        value = found["text"] or found["number"]
        if name not in settings:
            return found[0]
        return f"--{name.replace('_', '-')}" + (f" {value}" if value else "")

    return _NAMED.sub(flag, message)
