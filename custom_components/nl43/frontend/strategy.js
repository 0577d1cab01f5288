// The dashboard that builds itself: all meters, then a view for each.

import { automationsOf } from "./automations.js";
import { loadTexts, metersOf } from "./meters.js";
import { meterView } from "./meter-view.js";
import { metersView } from "./meters-view.js";

const ADD_METER = "/config/integrations/dashboard/add?domain=nl43";

const noMeterView = (say) => ({
  title: say("meters"),
  path: "meters",
  type: "panel",
  cards: [
    {
      type: "empty-state",
      icon: "mdi:waveform",
      content_only: true,
      title: say("no_meter"),
      content: `${say("no_meter_help")}.`,
      buttons: [
        {
          icon: "mdi:plus",
          text: say("add_meter"),
          appearance: "filled",
          variant: "brand",
          tap_action: { action: "navigate", navigation_path: ADD_METER },
        },
      ],
    },
  ],
});

class MetersDashboard extends HTMLElement {
  static get registryDependencies() {
    return ["entities", "devices", "areas"];
  }

  static async generate(config, hass) {
    const say = await loadTexts(hass);
    const meters = metersOf(hass, config.meters);
    if (meters.length === 0) return { views: [noMeterView(say)] };
    const automations = await Promise.all(meters.map((meter) => automationsOf(hass, meter)));
    const views = meters.map((meter, index) => meterView(hass, say, meter, config, automations[index]));
    if (meters.length > 1) views.unshift(metersView(hass, say, meters, config));
    return { title: say("title"), views };
  }

  static getConfigElement() {
    return document.createElement("nl43-dashboard-editor");
  }
}

/** Offer the dashboard in the dialog for a new one. */
async function offer() {
  const root = document.querySelector("home-assistant");
  while (!root.hass?.loadBackendTranslation) await new Promise((resolve) => setTimeout(resolve, 500));
  // The dialog reads both texts at the moment that it opens; it cannot wait for them.
  const say = await loadTexts(root.hass);
  window.customStrategies = window.customStrategies || [];
  window.customStrategies.push({
    type: "nl43",
    strategyType: "dashboard",
    name: say("title"),
    description: `${say("description")}.`,
    documentationURL: "https://github.com/nl43/nl43",
  });
}

customElements.define("ll-strategy-dashboard-nl43", MetersDashboard);
offer();
