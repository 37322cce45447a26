"""What the commands of one operation, and how each ended, say of its effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure, PyMongoError, WriteConcernError

from kaa_epr.mongo.errors import Effect
from kaa_epr.mongo.sent import Sent

LOST: Final = {"errmsg": "connection closed", "errtype": "AutoReconnect"}
NOT_PRIMARY: Final = {"ok": 0.0, "code": 10_107}
STOPPED: Final = {"ok": 0.0, "code": 11_602, "errorLabels": ["RetryableWriteError"]}
OVERLOADED: Final = {"ok": 0.0, "code": 462, "errorLabels": ["RetryableError", "NoWritesPerformed"]}
ANY: Final = AutoReconnect("x")


@pytest.mark.parametrize(
    ("answers", "error", "expected"),
    [
        ([], ANY, Effect.NONE),
        ([None], ANY, Effect.PERHAPS),
        ([LOST], ANY, Effect.PERHAPS),
        ([NOT_PRIMARY], ANY, Effect.NONE),
        ([NOT_PRIMARY, NOT_PRIMARY], ANY, Effect.NONE),
        ([OVERLOADED], OperationFailure("x", 462), Effect.NONE),
        ([STOPPED], ANY, Effect.PERHAPS),
        # The refusal is the second attempt's.
        ([LOST, NOT_PRIMARY], ANY, Effect.PERHAPS),
        # The first command of a large batch was carried out.
        ([None, NOT_PRIMARY], ANY, Effect.PERHAPS),
        ([None], WriteConcernError("x", 64), Effect.UNCONFIRMED),
        ([None], BulkWriteError({"writeConcernErrors": [{"code": 64}]}), Effect.UNCONFIRMED),
        ([NOT_PRIMARY, None], BulkWriteError({"writeConcernErrors": [{"code": 64}]}), Effect.UNCONFIRMED),
    ],
)
def test_the_effect(answers: Sequence[dict[str, Any] | None], error: PyMongoError, expected: Effect) -> None:
    """Each command's failure, or None for one that succeeded, or that nothing was heard of."""
    sent = Sent()
    for answer in answers:
        sent.started()
        if answer is not None:
            sent.refused(answer)
    assert sent.effect(error) is expected
