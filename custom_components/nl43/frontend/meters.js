// Which meters there are, which entities each has, and how each is.

const DOMAIN = "nl43";
const PREFIX = `component.${DOMAIN}.common.dashboard_`;
// What a meter is called where its entity has a name from its device class only.
const BY_DEVICE_CLASS = { battery: "battery_level", connectivity: "connectivity" };
const IN_TROUBLE = ["unreachable", "wedged", "refused", "asleep"];
// Seconds. An event that Home Assistant has written so much later than it happened was restored at a start.
const RESTORED = 5;
// How often, and after how many milliseconds each time, it is seen whether texts have come.
const PATIENCE = 100;
const TURN = 50;

/** The worst first. */
export const RANKS = ["exceeded", "overload", "trouble", "well", "silent"];

/** Return what says the dashboard's texts in the user's language, once they are loaded. */
export async function loadTexts(hass) {
  let localize = await hass.loadBackendTranslation("common", DOMAIN);
  // Who asks while they are under way is answered at once, without them.
  for (let turn = 0; turn < PATIENCE && !localize(`${PREFIX}title`); turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, TURN));
    localize = document.querySelector("home-assistant")?.hass.localize ?? localize;
  }
  return (key, values) => localize(PREFIX + key, values);
}

/** Return the same for a `hass` that has loaded them; "" before. */
export const texts = (hass) => (key, values) => hass.localize(PREFIX + key, values) || "";

/** Return the meters by name, or those that were chosen in their order; each with its entities by key. */
export function metersOf(hass, chosen) {
  const found = new Map();
  for (const entity of Object.values(hass.entities)) {
    if (entity.platform !== DOMAIN || entity.hidden) continue;
    const device = hass.devices[entity.device_id];
    if (!device || device.disabled_by) continue;
    if (!found.has(device.id)) found.set(device.id, meterOf(hass, device));
    const meter = found.get(device.id);
    const key = entity.translation_key ?? BY_DEVICE_CLASS[hass.states[entity.entity_id]?.attributes.device_class];
    if (key?.startsWith("sub_")) meter.subs.push(entity.entity_id);
    else if (key) meter.entities[key] = entity.entity_id;
  }
  if (chosen?.length) return chosen.map((id) => found.get(id)).filter(Boolean);
  return [...found.values()].sort((one, other) => one.name.localeCompare(other.name, hass.locale.language));
}

function meterOf(hass, device) {
  const [, serial] = device.identifiers.find(([domain]) => domain === DOMAIN) ?? [];
  // A path of digits would be the number of a view.
  const path = `meter-${(serial ?? device.id).toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  return {
    id: device.id,
    name: device.name_by_user || device.name || serial || device.id,
    area: hass.areas[device.area_id]?.name ?? null,
    model: device.model,
    entryId: device.primary_config_entry ?? device.config_entries[0],
    path,
    entities: {},
    subs: [],
  };
}

/** Return a state as a number, null if it is none. */
export function numberOf(state) {
  const number = parseFloat(state?.state);
  return Number.isFinite(number) ? number : null;
}

/** Return the symbol that acousticians write for a level, by the weightings that its entity tells. */
export function symbolOf(key, state) {
  const { frequency_weighting: frequency, time_weighting: time, percentile } = state?.attributes ?? {};
  const weightings = `L${frequency ?? ""}`;
  if (key === "lp") return frequency && time ? weightings + time : "Lp";
  if (key === "leq") return `${weightings}eq`;
  if (key === "lmax" || key === "lmin") return `${weightings}${time ?? ""}${key.slice(1)}`;
  return percentile ? `${weightings}${time ?? ""}${percentile}` : key.toUpperCase();
}

/** Return how a meter is: `rank` is one of RANKS. */
export function conditionOf(hass, meter) {
  const state = (key) => hass.states[meter.entities[key]];
  const level = numberOf(state("lp"));
  const connection = state("connection")?.state;
  const connected = connection === "connected";
  const over = connected && state("overload")?.state === "on";
  const under = connected && state("under_range")?.state === "on";
  const exceeded = connected && isExceeded(hass, meter);
  let rank = "silent";
  if (exceeded) rank = "exceeded";
  else if (over) rank = "overload";
  else if (IN_TROUBLE.includes(connection)) rank = "trouble";
  else if (connected && level !== null) rank = "well";
  return { rank, level, connected, over, under, exceeded };
}

/** Return whether an armed limit is exceeded now, as far as the last event tells. */
function isExceeded(hass, meter) {
  const event = hass.states[meter.entities.exceedance];
  if (event?.attributes.event_type !== "exceeded") return false;
  const { quantity, limit, direction } = event.attributes;
  const late = (Date.parse(event.last_changed) - Date.parse(event.state)) / 1000;
  if (late < RESTORED) return true;
  // Its end may have come while Home Assistant was off.
  const level = numberOf(hass.states[meter.entities[quantity]]);
  if (level === null) return false;
  return direction === "below" ? level < limit : level > limit;
}

/** Return meters, the worst first; those in the same condition by their level. */
export function worstFirst(hass, meters) {
  const sorted = meters.map((meter) => ({ meter, condition: conditionOf(hass, meter) }));
  sorted.sort(
    ({ condition: one }, { condition: other }) =>
      RANKS.indexOf(one.rank) - RANKS.indexOf(other.rank) || (other.level ?? -1) - (one.level ?? -1),
  );
  return sorted.map(({ meter }) => meter);
}
