"""The one base of every refusal that a person reads; everybody may import it."""

from __future__ import annotations


class Rejected(Exception):
    """Says in one sentence what cannot be done and what to do about it.

    `template` is that sentence, with a name in braces for each of `values`; it is put together where it is shown, so
    that another language needs another template only.
    """

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template, values)
        self.template, self.values = template, values

    def __str__(self) -> str:
        return self.template.format(**self.values) if self.values else self.template


def reason(error: OSError) -> str:
    """Return why the system refused, in its own words; what raises one of our own may have none."""
    return error.strerror or str(error) or "the disk does not answer"
