"""A real Home Assistant in a folder of its own, for the demo and the browser test."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
import json
import logging
from pathlib import Path
import signal
import socket
import sys
from typing import Any, Final
from zoneinfo import ZoneInfo

from homeassistant.components.http import config as http_config
from homeassistant.components.onboarding import (
    STORAGE_KEY as ONBOARDING_KEY,
    STORAGE_VERSION as ONBOARDING_VERSION,
)
from homeassistant.components.onboarding.const import STEP_USER, STEPS
from homeassistant.const import RESTART_EXIT_CODE
from homeassistant.util import dt as dt_util

LOGGER = logging.getLogger(__name__)

ROOT: Final = Path(__file__).resolve().parent.parent
HOST: Final = "127.0.0.1"
STOP_PATIENCE: Final = 30.0

TIME_ZONE: Final = "Europe/Berlin"
# Not default_config: it wants hardware, the cloud and the local network.
CONFIGURATION: Final = """\
homeassistant:
  name: Sound levels
  time_zone: {time_zone}
  country: DE
  currency: EUR
  unit_system: metric
  latitude: 52.52
  longitude: 13.40
  elevation: 34
  media_dirs:
    local: {media}
{auth_providers}
config:
diagnostics:
history:
input_number:
logbook:
media_source:
notify:
recorder:
logger:
  default: warning
  logs:
    custom_components.nl43: info
    haffmpeg: critical # it is not needed, nor has to be installed
    homeassistant.components.camera: critical # as to libturbojpeg
    homeassistant.loader: error # that a custom integration is in use is known
automation: !include automations.yaml
script: !include scripts.yaml
scene: !include scenes.yaml
"""

# The server listens on the loopback interface alone.
AUTO_LOGIN: Final = """\
  auth_providers:
    - type: trusted_networks
      trusted_networks: [127.0.0.1]
      allow_bypass_login: true
    - type: homeassistant
"""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def port_is_taken(port: int) -> bool:
    """Return whether something listens on a port."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return True
    return False


def site_utc_offset() -> float:
    """Return the seconds that the site's clocks are ahead of UTC, wherever this machine is."""
    offset = datetime.now(ZoneInfo(TIME_ZONE)).utcoffset()
    assert offset is not None
    return offset.total_seconds()


class Program:
    """A child process, in a group of its own so that Ctrl-C reaches it through us alone."""

    def __init__(self, name: str, words: Sequence[str], log: Path) -> None:
        """Set a Python program up; what it prints goes to the log."""
        self.name = name
        self.log = log
        self._words = words
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._words,
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    async def ended(self) -> int:
        """Wait until it ends by itself and return its exit code."""
        assert self._process is not None
        return await self._process.wait()

    @property
    def pid(self) -> int:
        """Return its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def stop(self) -> None:
        """Ask it to end; insist after a while."""
        if self._process is None or not self.running:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_PATIENCE):
                    await self._process.wait()
            except TimeoutError:
                LOGGER.warning("%s does not stop: it is killed", self.name)
                self._process.kill()
                await self._process.wait()


class RealHass(Program):
    """Home Assistant with the integration linked in, on the loopback interface."""

    def __init__(self, folder: Path, port: int, *, auto_login: bool) -> None:
        """Set it up; what it keeps is kept in the folder."""
        super().__init__(
            "Home Assistant",
            # What it loads is installed already (requirements_test.txt): nothing is fetched.
            ["-m", "homeassistant", "--config", str(folder), "--skip-pip", "--log-no-color"],
            folder / "output.log",
        )
        self.folder = folder
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self._auto_login = auto_login

    @property
    def media(self) -> Path:
        """Return where media are kept; Home Assistant's own choice depends on the machine."""
        return self.folder / "media"

    def write_config(self) -> None:
        """Write what the user would have set up; what Home Assistant keeps stays."""
        storage = self.folder / ".storage"
        storage.mkdir(parents=True, exist_ok=True)
        providers = AUTO_LOGIN if self._auto_login else ""
        (self.folder / "configuration.yaml").write_text(
            CONFIGURATION.format(
                auth_providers=providers,
                time_zone=TIME_ZONE,
                # A quoted string of JSON is one of YAML, too.
                media=json.dumps(str(self.media)),
            )
        )
        self.media.mkdir(exist_ok=True)
        for name in ("automations.yaml", "scripts.yaml", "scenes.yaml"):
            (self.folder / name).touch()
        components = self.folder / "custom_components"
        components.mkdir(exist_ok=True)
        link = components / "nl43"
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT / "custom_components/nl43", target_is_directory=True)
        self._write_http_storage(storage)
        if not (storage / ONBOARDING_KEY).exists():
            self._write_onboarding_storage(storage)

    def _write_http_storage(self, storage: Path) -> None:
        """Bind the server; "http:" in YAML would be tried for five minutes, then reverted."""
        config = http_config.HTTP_STORAGE_SCHEMA({"server_host": [HOST], "server_port": self.port})
        now = dt_util.utcnow().isoformat()
        data = {
            "stable": {**config, "created_at": now, "error": None, "error_message": None},
            "pending": None,
            "yaml_migration_done": True,
        }
        document = {
            "version": http_config.STORAGE_VERSION,
            "minor_version": http_config.STORAGE_MINOR_VERSION,
            "key": http_config.STORAGE_KEY,
            "data": data,
        }
        (storage / http_config.STORAGE_KEY).write_text(json.dumps(document))

    def _write_onboarding_storage(self, storage: Path) -> None:
        """Leave the first user as the only question."""
        document: dict[str, Any] = {
            "version": ONBOARDING_VERSION,
            "minor_version": 1,
            "key": ONBOARDING_KEY,
            "data": {"done": [step for step in STEPS if step != STEP_USER]},
        }
        (storage / ONBOARDING_KEY).write_text(json.dumps(document))

    async def keep_running(self) -> int:
        """Start it again whenever it restarts; return the exit code when it ends for good."""
        while (code := await self.ended()) == RESTART_EXIT_CODE:
            await self.start()
        return code


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[None]:
    """Have a program run for the time of a block."""
    await program.start()
    try:
        yield
    finally:
        await program.stop()
