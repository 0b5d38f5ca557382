"""Text of users in figures: names of data, files and settings, in which nothing is a formula."""


def as_written(text: object) -> str:
    r"""Return the text as Matplotlib shows it letter by letter: `$` starts no formula, and what is no letter is coded.

    >>> print(as_written("runs/$x^"))
    runs/\$x^
    """
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8").replace("$", r"\$")
