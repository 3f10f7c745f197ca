"""How many tokens a model has generated, each counted once."""

from __future__ import annotations


class TokenLedger:
    """Adds what has ended to what is under way, each token once; the total never falls.

    With the counter C, read before the slots: total = C + tokens of requests under way + tokens of requests
    that ended in between and are not in C yet. What C never takes up (requests cancelled in servers that do
    not count them) is kept as well. Without a counter: the last that was seen of each request, a lower bound.
    """

    def __init__(self) -> None:
        self.total: int | None = None
        self._counter: float | None = None
        self._counted_before = 0.0
        """By counters that have been reset since."""
        self._ended = 0
        """Of requests seen to end, while there is no counter."""
        self._pending = 0.0
        """Of requests seen to end that the counter may still take up."""
        self._uncounted = 0.0

    @property
    def is_lower_bound(self) -> bool:
        """Whether there is no counter."""
        return self._counter is None

    @property
    def awaits_counter(self) -> bool:
        """Whether a request has ended that the counter takes up one turn late."""
        return self._pending > 0

    def add(self, counter: float | None, ended_tokens: int, running_tokens: int) -> bool:
        """Take one poll: what requests that ended since the last one had generated, and those under way.

        Return whether the total is on a new footing, so that its growth says nothing about a rate.
        """
        rebased = counter is not None and (self._counter is None or counter < self._counter)
        if counter is not None:
            self._count(counter, ended_tokens)
        elif self._counter is None:
            self._ended += ended_tokens
        else:
            self._pending += ended_tokens
        self._raise_to(running_tokens)
        return rebased

    def add_told(self, tokens: int) -> None:
        """Take in tokens of a request that has ended, told by a log; counters take them up themselves."""
        if self._counter is None:
            self._ended += tokens
            self.total = (self.total or 0) + tokens

    def _count(self, counter: float, ended_tokens: int) -> None:
        if self._counter is not None:
            reset = counter < self._counter
            self._counted_before += self._counter if reset else 0.0
            grown = counter - (0.0 if reset else self._counter)
            self._uncounted += max(self._pending - grown, 0.0)
            self._pending = max(ended_tokens - max(grown - self._pending, 0.0), 0.0)
        self._counter = counter

    def _raise_to(self, running_tokens: int) -> None:
        if self._counter is None:
            total = float(self._ended)
        else:
            total = self._counted_before + self._counter + self._uncounted + self._pending
        self.total = max(self.total or 0, round(total) + running_tokens)
