"""How many wrong tokens are looked at. Above that a token is refused before it is checked: nobody can guess on.

A right token is refused meanwhile, too, or the answer would tell it from the wrong ones. It gets in after the wait.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.web.addresses import site
from gateway.web.rate import CALLERS_MAX, CallerRates

# Wrong tokens of all addresses together, in times those of one address.
ADDRESSES = 10
# An address from which a right token came is not kept waiting for what other addresses do.
KNOWN_S = 3600.0
EVERYBODY = "everybody"


class WrongTokens:
    """A bucket of attempts for each address, and one for all addresses that are not known. For one event loop."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """per_minute: wrong tokens of one address, all of them at once or one after the other.
        clock: seconds.
        """
        self._clock = clock
        self._of_address = CallerRates(per_minute, clock)
        self._of_all = CallerRates(per_minute * ADDRESSES, clock)
        self._known: OrderedDict[str, float] = OrderedDict()

    def begin(self, address: str) -> int:
        """0 when a token from there may be checked now, else the seconds to wait.

        It counts as wrong until `was_no_guess` says otherwise: many may be checked at the same time.
        """
        origin = site(address)
        wait_s = self._of_address.take(origin)
        if not wait_s and not self._is_known(origin):
            wait_s = self._of_all.take(EVERYBODY)
            if wait_s:
                self._of_address.give_back(origin)
        return wait_s

    def was_no_guess(self, address: str, *, right: bool) -> None:
        """What `begin` counted was not wrong.

        right: it was right, so that the address is known from now on.
        """
        origin = site(address)
        self._of_address.give_back(origin)
        if not self._is_known(origin):
            self._of_all.give_back(EVERYBODY)
        if right:
            self._known[origin] = self._clock() + KNOWN_S
            self._known.move_to_end(origin)
            if len(self._known) > CALLERS_MAX:
                self._known.popitem(last=False)

    def _is_known(self, origin: str) -> bool:
        return self._known.get(origin, 0.0) > self._clock()
