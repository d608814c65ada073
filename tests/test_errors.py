import pickle
from datetime import date

import pytest

from tradeul import errors

OF_OTHER_FORM = {
    errors.MalformedResponse: errors.MalformedResponse("/a/path", "it is empty"),
    errors.RateLimited: errors.RateLimited("429", 1.5),
    errors.CorruptPartition: errors.CorruptPartition("it cannot be read", "splits", date(2026, 3, 9)),
    errors.IncompleteData: errors.IncompleteData("too few", expected=3, got=1, missing=["A", "B"]),
}
EVERY = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.TradeulError)]


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_is_the_same_in_another_process(kind):
    error = OF_OTHER_FORM.get(kind) or kind("what happened")
    there = pickle.loads(pickle.dumps(error))
    assert (type(there), str(there), there.args, vars(there)) == (kind, str(error), error.args, vars(error))
