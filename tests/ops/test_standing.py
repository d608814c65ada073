"""What does not answer is said, and a question that hangs holds nobody up and is not asked twice."""

import asyncio
import threading

from tradeul.ops import standing as subject
from tradeul.ops.standing import Blocking, standing, status_of


async def answering(value):
    return value


async def test_each_is_said_by_name_and_one_that_is_gone_degrades():
    words = await standing(redis=lambda: answering(True), catalog=lambda: answering(False), mirror=None)
    assert words == {"redis": "connected", "catalog": "does not answer", "mirror": "not configured"}
    assert (status_of(*words.values()), status_of("connected", "not configured")) == ("degraded", "ok")


async def test_a_question_that_hangs_is_a_no_in_the_meantime_and_is_asked_once(monkeypatch):
    monkeypatch.setattr(subject, "PATIENCE_SECONDS", 0.01)
    asked, may_end = [], threading.Event()

    def ask():
        asked.append(True)
        return may_end.wait(60)

    answers = Blocking(ask)
    assert await asyncio.gather(*(answers() for _ in range(20))) == [False] * 20
    assert len(asked) == 1
    may_end.set()
    async with asyncio.timeout(60):
        while not await answers():
            pass
