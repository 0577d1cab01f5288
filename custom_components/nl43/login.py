"""The login to a meter's FTP server: its form, and whether it is right."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.const import CONF_HOST
from homeassistant.core import HomeAssistant
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
import voluptuous as vol

from .const import CONF_FTP_PASSWORD, CONF_FTP_PORT, CONF_FTP_USERNAME
from .rion import ftp

# A selector gives a float.
PORT_SELECTOR: Final = vol.All(
    NumberSelector(NumberSelectorConfig(min=1, max=65535, mode=NumberSelectorMode.BOX, step=1)),
    vol.Coerce(int),
)
_PASSWORD_SELECTOR: Final = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD))
FTP_SCHEMA: Final = vol.Schema(
    {
        vol.Optional(CONF_FTP_PORT): PORT_SELECTOR,
        vol.Optional(CONF_FTP_USERNAME): TextSelector(),
        vol.Optional(CONF_FTP_PASSWORD): _PASSWORD_SELECTOR,
    }
)
# For a meter whose FTP server is known already.
LOGIN_SCHEMA: Final = vol.Schema(
    {
        vol.Required(CONF_FTP_USERNAME): TextSelector(),
        vol.Optional(CONF_FTP_PASSWORD): _PASSWORD_SELECTOR,
    }
)
# What the meter leaves the factory with: offered, never taken without a look.
FACTORY_FTP: Final = {
    CONF_FTP_PORT: ftp.PORT,
    CONF_FTP_USERNAME: "USER",
    CONF_FTP_PASSWORD: "0000",
}
FTP_KEYS: Final = tuple(FACTORY_FTP)


async def async_check_login(hass: HomeAssistant, data: Mapping[str, Any]) -> None:
    """Log in to the FTP server of an entry's data and list the card; FtpError if it fails."""
    await hass.async_add_executor_job(ftp.check, data[CONF_HOST], *(data[key] for key in FTP_KEYS))
