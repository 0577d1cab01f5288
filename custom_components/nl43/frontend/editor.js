// What can be chosen of the live card, and what is chosen by itself.

import { text } from "./format.js";

const QUANTITIES = ["leq", "le", "lmax", "lmin", "lpeak", "ln1", "ln2", "ln3", "ln4", "ln5", "lieq", "leq_mov", "ltm5"];
const NAMES = { leq: "Leq", le: "LE", lmax: "Lmax", lmin: "Lmin", lpeak: "Lpeak", lieq: "LIeq", leq_mov: "Leq,mov", ltm5: "Ltm5" };

export const CONFIG_FORM = {
  schema: [
    { name: "device_id", required: true, selector: { device: { integration: "nl43" } } },
    { name: "title", selector: { text: {} } },
    { name: "minutes", default: 5, selector: { number: { min: 1, max: 60, mode: "slider", unit_of_measurement: "min" } } },
    {
      name: "quantities",
      selector: {
        select: {
          multiple: true,
          options: QUANTITIES.map((value) => ({ value, label: NAMES[value] ?? value.toUpperCase() })),
        },
      },
    },
    {
      type: "grid",
      name: "",
      flatten: true,
      schema: [
        { name: "chart", default: true, selector: { boolean: {} } },
        { name: "limit_lines", default: true, selector: { boolean: {} } },
        { name: "controls", default: true, selector: { boolean: {} } },
      ],
    },
  ],
  computeLabel: (schema) => {
    const { hass } = document.querySelector("home-assistant");
    return text(hass, `option_${schema.name}`) || undefined;
  },
};

/** Return the meters' devices. */
const meters = (hass) =>
  Object.values(hass.entities)
    .filter((entity) => entity.platform === "nl43" && entity.translation_key === "lp")
    .map((entity) => entity.device_id);

/** Show the first meter in the card picker. */
export const stubConfig = (hass) => ({ device_id: meters(hass)[0] ?? "" });

/** Suggest the card for a level of a meter. */
export function suggestion(hass, entityId) {
  const entity = hass.entities[entityId];
  if (entity?.platform !== "nl43" || !entityId.startsWith("sensor.")) return null;
  return { config: { type: "custom:nl43-live-card", device_id: entity.device_id } };
}
