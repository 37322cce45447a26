"""The table of JSON texts, as what clients send over REST and NATS to a service that runs."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.cases import cases, text_of
from tests.support.hostile.attack import Attack, Reply
from tests.support.hostile.corpus import GIVEN
from tests.support.hostile.watched import complaints

OWN_LIMITS: Final = {"max_depth", "max_values", "envelope"}
TABLE: Final = [
    pytest.param(case, id=case["name"])
    for case in cases("json_texts")
    if not OWN_LIMITS & case.keys() and case.get("refused", ["invalid"])[0] == "invalid"
]
"""Those that hold under the default limits, too; what is too large for those of a table is not for them."""
WAYS: Final = {
    "REST": lambda text: {"path": "/endpoints/{E}/metadata/k", "body": {"hex": text.hex()}},
    "NATS": lambda text: {"kind": "key-update", "key": "k", "value": {"hex": text.hex()}},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", TABLE)
async def test_each_is_stored_as_it_says_or_refused_with_the_reason(
    attack: Attack, way: str, case: dict[str, Any]
) -> None:
    victim = attack.victim(GIVEN.encode())
    reply = await attack.send(WAYS[way](text_of(case)), victim)
    stored = (await attack.metadata(victim)).decode()
    if "gives" in case:
        assert (reply.status, stored) == (200, f'{GIVEN[:-1]},"k":{case["gives"]}}}')
    else:
        _refused(reply, case, way)
        assert stored == GIVEN
    assert not complaints(attack.service.told())


def _refused(reply: Reply, case: dict[str, Any], way: str) -> None:
    _, _, reason = case["refused"]
    assert reply.status == 400
    if way == "REST" and not text_of(case).strip(b" \t\r\n"):
        reason = "is empty"
    assert reason in reply.message
