// How levels, times and texts are written.

const PREFIX = "component.nl43.common.card_";
const NOTHING = "\u2013";

/** Return a text in the user's language. */
export const text = (hass, key, values) => hass.localize(PREFIX + key, values) || "";

/** Return a level with one decimal as the user writes numbers; a dash where there is none. */
export function level(hass, value) {
  if (value === null || value === undefined) return NOTHING;
  return new Intl.NumberFormat(hass.locale.language, {
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
  }).format(value);
}

/** Write a symbol such as LAS as acousticians do: an L with a subscript. */
export function writeSymbol(element, symbol) {
  if (element.dataset.symbol === symbol) return;
  element.dataset.symbol = symbol;
  const start = symbol.indexOf("L");
  const sub = document.createElement("sub");
  sub.textContent = symbol.slice(start + 1);
  element.replaceChildren(symbol.slice(0, start + 1), sub);
}

/** Return seconds as a clock that counts: 1:02:03. */
export function elapsed(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** Return an age as people say it: 34 s, 5 min, 2 h. */
export function age(hass, seconds) {
  const [amount, unit] =
    seconds < 100 ? [seconds, "second"] : seconds < 6000 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return new Intl.NumberFormat(hass.locale.language, { style: "unit", unit, unitDisplay: "long" }).format(
    Math.round(amount),
  );
}

/** Return a time of day on the user's clock. */
export function clock(hass, seconds, withSeconds = false) {
  return new Intl.DateTimeFormat(hass.locale.language, {
    hour: "numeric",
    minute: "2-digit",
    second: withSeconds ? "2-digit" : undefined,
    hour12: hass.locale.time_format === "12" ? true : hass.locale.time_format === "24" ? false : undefined,
    timeZone: hass.locale.time_zone === "server" ? hass.config.time_zone : undefined,
  }).format(new Date(seconds * 1000));
}
