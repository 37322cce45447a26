"""Packets that vanish, as when a cable is cut behind a switch: no reset, no other word. In namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa_epr.embedded import NatsServer
from kaa_epr.embedded.nats import HOST
from tests.faults.conftest import QUICK_PINGS
from tests.faults.scene import LOSSY, Scene
from tests.support.fleet import ENGINES, Fleet
from tests.support.namespaces import NotAllowed, RoutedNetwork
from tests.support.waiting import until

pytestmark = pytest.mark.faults


class FarServer(NatsServer):
    """A nats-server behind the router."""

    def __init__(self, directory: Path, network: RoutedNetwork) -> None:
        super().__init__(directory, config_lines=QUICK_PINGS)
        self.network = network
        self.process.argv = network.inside(*self.process.argv)

    @property
    def url(self) -> str:
        return f"nats://{self.network.address}:{self.port}"

    def _write_config(self) -> None:
        super()._write_config()
        self.config_file.write_text(self.config_file.read_text().replace(HOST, self.network.address))


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarServer]:
    try:
        with RoutedNetwork() as network, FarServer(tmp_path / "far", network) as server:
            yield server
    except NotAllowed as reason:
        pytest.skip(f"this machine allows no network namespaces: {reason}")


@pytest.mark.parametrize(
    ("engine", "lost"),
    [
        pytest.param("fast", ("to_server", "to_client"), id="fast, both directions"),
        pytest.param("fast", ("to_server",), id="fast, what we send"),
        pytest.param("callbacks", ("to_client",), id="callbacks, what the server sends"),
    ],
)
async def test_a_link_whose_packets_vanish_is_left_and_found_again(
    engine: str, lost: tuple[str, ...], far: FarServer, scene: Scene
) -> None:
    """The writer and those who ask are cut off as well: all of them find their way back."""
    scene.getter(far.url, alone=True, patience=3.0)
    scene.bulk(far.url)
    async with Fleet([scene.replica(far.url, ENGINES[engine])]) as fleet, scene.checked_load(LOSSY):
        await scene.settled(fleet)
        far.network.drop(*lost)
        await until(lambda: fleet[0].logged("nats connection is dead, reconnecting"), "leaving the link")
        far.network.go_on()
        await scene.settled(fleet)
