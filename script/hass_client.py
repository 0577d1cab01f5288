"""What a person does in Home Assistant's pages, over its REST and websocket interfaces."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
import itertools
from typing import Any, Final, Self

import aiohttp

START_PATIENCE: Final = 120.0
POLL: Final = 0.2
_FIRST_ID: Final = 1


class HassError(Exception):
    """Home Assistant did not do what was asked."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The first user."""

    name: str = "Demo"
    username: str = "demo"
    password: str = "demo"


@dataclass(frozen=True, kw_only=True)
class MeterAddress:
    """What a person types into the config flow."""

    host: str
    port: int
    ftp_port: int
    ftp_username: str = "USER"
    ftp_password: str = "0000"


class HassClient:
    """A logged-in client."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        """Set the client up; log_in comes next."""
        self._session = session
        self._url = url
        self.tokens: dict[str, Any] = {}

    @classmethod
    @asynccontextmanager
    async def logged_in(cls, url: str, account: Account) -> AsyncIterator[Self]:
        """Wait for Home Assistant, log in, and wait until it has started whole."""
        async with aiohttp.ClientSession() as session:
            client = cls(session, url)
            async with asyncio.timeout(START_PATIENCE):
                await client._answers()
                await client._log_in(account)
                while (await client.get("config"))["state"] != "RUNNING":  # noqa: ASYNC110 - another process
                    await asyncio.sleep(POLL)
            yield client

    async def get(self, path: str) -> Any:
        """Ask the REST interface."""
        return await self._request("GET", f"/api/{path}")

    async def post(self, path: str, data: Mapping[str, Any]) -> Any:
        """Tell the REST interface."""
        return await self._request("POST", f"/api/{path}", json=data)

    @asynccontextmanager
    async def websocket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a websocket and log in."""
        async with self._session.ws_connect(f"{self._url}/api/websocket") as websocket:
            await websocket.receive_json()
            await websocket.send_json({"type": "auth", "access_token": self.tokens["access_token"]})
            await websocket.receive_json()
            yield websocket

    @asynccontextmanager
    async def subscribed(
        self, commands: Iterable[Mapping[str, Any]], hear: Callable[[Any], None]
    ) -> AsyncIterator[Callable[[Mapping[str, Any]], Awaitable[None]]]:
        """Subscribe by some commands, and hear every message for the time of a block.

        Yields what sends one more command.
        """
        numbers = itertools.count(_FIRST_ID)

        async def send(command: Mapping[str, Any]) -> None:
            await websocket.send_json({"id": next(numbers), **command})

        async def read() -> None:
            async for message in websocket:
                hear(message.json())

        async with self.websocket() as websocket:
            for command in commands:
                await send(command)
            reader = asyncio.create_task(read())
            try:
                yield send
            finally:
                reader.cancel()
                with suppress(asyncio.CancelledError):
                    await reader

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch every meter live, as a browser would."""
        entries = await self.get("config/config_entries/entry?domain=nl43")
        commands = [
            {"type": "nl43/subscribe_frames", "entry_id": entry["entry_id"]} for entry in entries
        ]
        async with self.subscribed(commands, lambda _message: None):
            yield

    async def command(self, kind: str, **data: Any) -> Any:
        """Carry out one websocket command."""
        async with self.websocket() as websocket:
            await websocket.send_json({"id": _FIRST_ID, "type": kind, **data})
            answer = await websocket.receive_json()
        if not answer["success"]:
            message = f"{kind}: {answer['error']['message']}"
            raise HassError(message)
        return answer["result"]

    async def add_meter(self, meter: MeterAddress) -> None:
        """Go through the config flow."""
        step = await self.post("config/config_entries/flow", {"handler": "nl43"})
        step = await self._fill(step, {"host": meter.host, "port": meter.port})
        ftp = {
            "ftp_port": meter.ftp_port,
            "ftp_username": meter.ftp_username,
            "ftp_password": meter.ftp_password,
        }
        step = await self._fill(step, ftp)
        if step["type"] != "create_entry":
            message = f"the meter at port {meter.port} was not added: {step}"
            raise HassError(message)

    async def name_meters(self, names: Mapping[str, str]) -> dict[str, str]:
        """Name meters by their serial numbers; return their devices."""
        devices = {
            device["serial_number"]: device["id"]
            for device in await self.command("config/device_registry/list")
            if device["serial_number"] in names
        }
        for serial, device_id in devices.items():
            await self.command(
                "config/device_registry/update", device_id=device_id, name_by_user=names[serial]
            )
        return devices

    async def entity_ids(self) -> dict[str, str]:
        """Return the integration's enabled entities by unique id."""
        entries = await self.command("config/entity_registry/list")
        return {
            entry["unique_id"]: entry["entity_id"]
            for entry in entries
            if entry["platform"] == "nl43" and not entry["disabled_by"]
        }

    async def _fill(self, step: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        """Submit a form of a flow; a form that is refused is an error."""
        if step["type"] != "form":
            message = f"no form to fill: {step}"
            raise HassError(message)
        answer = await self.post(f"config/config_entries/flow/{step['flow_id']}", data)
        if answer.get("errors"):
            message = f"step {step['step_id']} was refused: {answer['errors']}"
            raise HassError(message)
        return answer

    async def _answers(self) -> None:
        """Wait until the server answers."""
        while True:
            try:
                await self._request("GET", "/manifest.json")
            except aiohttp.ClientConnectionError, HassError:
                await asyncio.sleep(POLL)
            else:
                return

    async def _log_in(self, account: Account) -> None:
        """Create the first user where there is none yet, and get tokens."""
        client = {"client_id": f"{self._url}/"}
        async with self._session.get(f"{self._url}/api/onboarding") as response:
            # Once onboarding is done, its interface is gone with the next start.
            steps = await response.json() if response.ok else []
        new = any(step["step"] == "user" and not step["done"] for step in steps)
        if new:
            user = {
                "name": account.name,
                "username": account.username,
                "password": account.password,
                "language": "en",
            }
            code = (await self.post("onboarding/users", {**client, **user}))["auth_code"]
        else:
            credentials = {"username": account.username, "password": account.password}
            flow = {"handler": ["homeassistant", None], "redirect_uri": f"{self._url}/"}
            step = await self._request("POST", "/auth/login_flow", json={**client, **flow})
            path = f"/auth/login_flow/{step['flow_id']}"
            step = await self._request("POST", path, json={**client, **credentials})
            code = step["result"]
        grant = {**client, "grant_type": "authorization_code", "code": code}
        self.tokens = await self._request("POST", "/auth/token", data=grant)

    async def _request(self, method: str, path: str, **content: Any) -> Any:
        """Make a request; anything but success is an error."""
        headers = {}
        if self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        url = f"{self._url}{path}"
        async with self._session.request(method, url, headers=headers, **content) as response:
            if not response.ok:
                message = f"{method} {path}: {response.status} {await response.text()}"
                raise HassError(message)
            return await response.json(content_type=None)
