"""A mongod that asks for a user, and what can be done to users."""

from __future__ import annotations

from typing import Any, Final

from pymongo import MongoClient

from kaa_epr.config.mongo import MongoSettings
from kaa_epr.embedded import MongoServer

ROOT: Final = ("root", "root")


class Locked:
    """A server that asks for a user; users are made and dropped here."""

    def __init__(self, server: MongoServer) -> None:
        self.server = server
        self.admin: MongoClient[dict[str, Any]] = MongoClient(server.uri, **server.client_options)

    def close(self) -> None:
        """Nothing of what was made here stays."""
        self.admin.epr.command("dropAllUsersFromDatabase")
        self.admin.drop_database("epr")
        self.admin.close()

    def add(self, user: str) -> None:
        self.admin.epr.command("createUser", user, pwd=f"{user}'s", roles=["readWrite"])

    def drop(self, user: str) -> None:
        self.admin.epr.command("dropUser", user)

    def _operations(self, user: str) -> list[dict[str, Any]]:
        pipeline = [{"$currentOp": {"allUsers": True, "idleConnections": True, "idleSessions": False}}]
        found = self.admin.admin.aggregate(pipeline)
        return [one for one in found if user in [each["user"] for each in one.get("effectiveUsers", ())]]

    def connections_of(self, user: str) -> int:
        """Logged in now."""
        return len(self._operations(user))

    def is_asking(self, user: str) -> bool:
        """Whether a find of the user's is under way."""
        return any("find" in one.get("command", {}) and one["active"] for one in self._operations(user))

    def hold_one_find(self, seconds: float) -> None:
        """The next one is answered later."""
        data = {"failCommands": ["find"], "blockConnection": True, "blockTimeMS": round(seconds * 1000)}
        command = {"configureFailPoint": "failCommand", "mode": {"times": 1}}
        self.admin.admin.command({**command, "data": {**data, "appName": "kaa-epr"}})

    @staticmethod
    def credentials(user: str) -> dict[str, str]:
        """As settings have them."""
        return {"username": user, "password": f"{user}'s", "auth_source": "epr"}

    def settings(self, driver: str, user: str, **more: Any) -> MongoSettings:
        given = {"uri": self.server.uri, **self.credentials(user)}
        return MongoSettings.model_validate({"driver": driver, **given, **more})
