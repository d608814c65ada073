import sys

import pytest

from tradeul.errors import StartError
from tradeul.ops.ray_workers import ray_workers


async def test_where_ray_is_not_installed_the_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StartError, match=r"^Ray is not installed here: pip install 'tradeul\[ray\]'.* or leave --engine ray out\.$"):
        async with ray_workers(None):
            pass
