# SPDX-License-Identifier: Apache-2.0
"""Context variables: what plugins of an Event remember from chunk to chunk."""

from collections.abc import MutableMapping
from urllib.parse import quote

from . import agent


class Variables(MutableMapping):
    """A dict of text, numbers and booleans.

    What is set here is published with the answer, or not at all when the run fails; other runs see it from then on.
    """

    def __init__(self):
        self.staged = {}
        self._known = None

    def _all(self):
        if self._known is None:
            self._known = agent.call_json("GET", "variables")["variables"]
        return {**self._known, **self.staged}

    def __getitem__(self, name):
        return self.staged[name] if name in self.staged else self._all()[name]

    def __setitem__(self, name, value):
        if not isinstance(value, (str, int, float, bool)):
            raise TypeError(f"the variable {name} is {value!r}; variables are text, numbers and booleans")
        self.staged[name] = value

    def __delitem__(self, name):
        raise TypeError(f"the variable {name} cannot be deleted; set it to an empty text")

    def __iter__(self):
        return iter(self._all())

    def __len__(self):
        return len(self._all())

    def swap(self, name, expected, value):
        """Set the variable at once, for all runs, if it still is what is expected (None: does not exist).

        True when it did. When it did not, the next look shows what another run has set.
        """
        body = {"value": value}
        if expected is not None:
            body["expected"] = expected
        answer = agent.call_json("POST", f"variables/{quote(name, safe='')}/swap", body)
        self._known = None
        if answer["swapped"]:
            # What this run had set before is older.
            self.staged.pop(name, None)
        return answer["swapped"]
