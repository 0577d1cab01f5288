// What can be chosen of the dashboard.

import { texts } from "./meters.js";

const field = (name, selector) => ({ name, selector });
const SCHEMA = [
  field("meters", { device: { multiple: true, filter: { integration: "nl43" } } }),
  field("live_card", { boolean: {} }),
];

class DashboardEditor extends HTMLElement {
  setConfig(config) {
    this._config = config;
    this._show();
  }

  set hass(hass) {
    if (!this._hass) hass.loadBackendTranslation("common", "nl43").then(() => this._show());
    this._hass = hass;
    this._show();
  }

  _show() {
    if (!this._hass || !this._config) return;
    if (!this._form) {
      this._form = document.createElement("ha-form");
      this._form.schema = SCHEMA;
      this._form.computeLabel = ({ name }) => texts(this._hass)(`option_${name}`);
      this._form.computeHelper = ({ name }) => `${texts(this._hass)(`option_${name}_help`)}.`;
      this._form.addEventListener("value-changed", (event) => {
        event.stopPropagation();
        this._changed(event.detail.value);
      });
      this.append(this._form);
    }
    this._form.hass = this._hass;
    this._form.data = { meters: [], live_card: true, ...this._config };
  }

  _changed({ meters, live_card: liveCard, ...rest }) {
    this._config = { ...rest };
    if (meters?.length) this._config.meters = meters;
    if (!liveCard) this._config.live_card = false;
    this._show();
    const detail = { config: this._config };
    this.dispatchEvent(new CustomEvent("config-changed", { detail, bubbles: true, composed: true }));
  }
}

customElements.define("nl43-dashboard-editor", DashboardEditor);
