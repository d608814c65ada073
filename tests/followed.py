"""Many clients of one address, and what each was shown: every state of every list, counted."""

import asyncio
from collections import Counter
from contextlib import aclosing

from tradeul.client import Client, Lost, Snapshot


class Followed:
    """One client. A state that does not follow the one before is a gap, but for the first of a connection or an epoch."""

    def __init__(self, address, lists, shown):
        self.client, self.shown, self.held = Client(address, lists), shown, {}
        self.deltas, self.gaps, self.losses = Counter(), [], 0
        self.task = asyncio.create_task(self._follow())

    async def _follow(self):
        async with aclosing(self.client.events()) as events:
            async for event in events:
                if isinstance(event, Lost):
                    self.losses += 1
                    self.held = {}
                elif isinstance(event, Snapshot):
                    self._take(event)

    def _take(self, state):
        place = state.list, state.epoch, state.sequence
        assert self.shown.setdefault(place, state.rows) == state.rows, f"two clients see other rows at {place}"
        before = self.held.get(state.list)
        if before is not None and before.epoch == state.epoch:
            self.deltas[state.list] += 1
            if state.sequence != before.sequence + 1:
                self.gaps.append((before.sequence, place))
        self.held[state.list] = state


class Crowd:
    """``shown``: the rows of each list, epoch and sequence that any client has had."""

    def __init__(self, address, lists, size=50):
        self.lists, self.shown = lists, {}
        self.clients = [Followed(address, lists, self.shown) for _ in range(size)]

    async def all_hold(self, is_right):
        """Return once every client's state of every list is right; a client that ended is an error."""
        while not all(name in each.held and is_right(each.held[name]) for each in self.clients for name in self.lists):
            for each in self.clients:
                if each.task.done():
                    await each.task
            await asyncio.sleep(0.01)

    async def leave(self):
        for each in self.clients:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in self.clients), return_exceptions=True)
