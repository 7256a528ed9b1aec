"""The parts of a network that a configuration names, as the ablations of the papers vary them."""

from collections.abc import Collection


def check_choice(key: str, value: object, known: Collection[object]) -> None:
    """Refuse a part of a configuration that there is not.

    Raises:
        ValueError: if ``value`` is not one of ``known``; the message names the key and what there is.
    """
    if value not in list(known):
        raise ValueError(f"{key} is {value!r}, not one of {', '.join(map(repr, known))}")
