// The view of one meter.

import { exceedances, full, gauge, heading, history, present, section, tile } from "./parts.js";

const COLUMNS = 4;
const PERCENTILES = ["ln1", "ln2", "ln3", "ln4", "ln5"];
// What neither the live card nor what stands for it shows.
const FURTHER = ["le", "lieq", "leq_mov", "ltm5"];
const COLORS = { lp: "#2fb3a4", leq: "#e3a92b", ln1: "#e5484d" };
const TREND = { features: [{ type: "trend-graph", hours_to_show: 6, detail: true }] };
const FULL = { columns: "full" };
const HALF = { columns: 12 };
const TOGGLE = { type: "toggle" };
const CHOICE = { type: "select-options" };
const CONTROLS = {
  measurement: TOGGLE,
  pause: TOGGLE,
  frequency_weighting: CHOICE,
  time_weighting: CHOICE,
  store_mode: CHOICE,
  store_name: { type: "numeric-input", style: "buttons" },
  lp_store_interval: CHOICE,
  leq_interval: CHOICE,
  measurement_time: CHOICE,
  manual_store: { type: "button" },
};
// The state of a button is when it was pressed.
const BUTTONS = ["manual_store", "sync_clock", "reconnect"];

const media = (entryId) => {
  const root = "media-source://nl43";
  const levels = [`app,${root}`, `,${root}/${entryId}`].map(encodeURIComponent);
  return `/media-browser/browser/${levels.join("/")}`;
};

/** Return the name of a level as its entity has it, without the meter's. */
const named = (entity) => ({ entity, name: { type: "entity" } });

function statistics(hass, say, meter) {
  return present(hass, [meter.entities.lp]).flatMap((entity) => {
    const graph = (title, days, period) =>
      full({
        type: "statistics-graph",
        title,
        entities: [{ ...named(entity), color: COLORS.lp }],
        days_to_show: days,
        period,
        // An hour's mean is arithmetic, which is no mean level.
        stat_types: ["min", "max"],
        chart_type: "line",
        fit_y_data: true,
        hide_legend: true,
      });
    return [
      { ...graph(say("last_day"), 1, "5minute"), grid_options: HALF },
      { ...graph(say("last_month"), 30, "day"), grid_options: HALF },
      full({ type: "markdown", text_only: true, content: `${say("statistics_note")}.` }),
    ];
  });
}

function liveSection(hass, say, meter, config) {
  const badges = present(hass, [meter.entities.connection, meter.entities.battery_level]).map((entity) => ({
    type: "entity",
    entity,
    show_icon: true,
    show_state: true,
    color: "state",
  }));
  const top = heading(meter.area ?? say("live"), meter.area ? "mdi:map-marker" : "mdi:pulse", { badges });
  if (config.live_card !== false) {
    return section(2, top, full({ type: "custom:nl43-live-card", device_id: meter.id }));
  }
  return section(
    2,
    top,
    ...gauge(hass, meter),
    ...["measurement_state", "measurement_start", "leq", "lmax", "lmin", "lpeak", "overload", "under_range"].flatMap((key) =>
      tile(hass, meter, key),
    ),
  );
}

function controls(hass, meter) {
  return Object.entries(CONTROLS).flatMap(([key, feature]) =>
    tile(hass, meter, key, {
      features: [feature],
      features_position: "inline",
      hide_state: BUTTONS.includes(key),
      grid_options: HALF,
    }),
  );
}

function files(hass, say, meter) {
  return [
    full({
      type: "shortcut",
      icon: "mdi:folder-music-outline",
      label: say("open_files"),
      description: say("open_files_help"),
      tap_action: { action: "navigate", navigation_path: media(meter.entryId) },
    }),
    ...tile(hass, meter, "file_transfer", {
      visibility: [{ condition: "numeric_state", entity: meter.entities.file_transfer, above: -1 }],
      features: [{ type: "bar-gauge" }],
      grid_options: FULL,
    }),
    ...tile(hass, meter, "sd_free_percentage", { features: [{ type: "bar-gauge" }], grid_options: FULL }),
    ...tile(hass, meter, "sd_free"),
    ...tile(hass, meter, "ftp_server"),
  ];
}

function health(hass, meter) {
  const told = ["connection", "connectivity", "battery_level", "power_source", "clock_offset"];
  const commands = ["sync_clock", "reconnect", "polling", "sleep_mode"];
  return [...told, ...commands].flatMap((key) => tile(hass, meter, key, { hide_state: BUTTONS.includes(key) }));
}

function alarms(hass, meter, { automations, sliders }) {
  return [
    ...tile(hass, meter, "exceedances_today", { grid_options: FULL }),
    ...sliders.map((entity) => full({ type: "tile", entity, features: [{ type: "numeric-input", style: "slider" }] })),
    ...automations.map((entity) =>
      full({ type: "tile", entity, features: [TOGGLE], features_position: "inline" }),
    ),
    ...exceedances(present(hass, [meter.entities.exceedance]), 48),
  ];
}

export function meterView(hass, say, meter, config, automations) {
  const { entities } = meter;
  const existing = (keys) => keys.filter((key) => present(hass, [entities[key]]).length);
  const levels = existing(Object.keys(COLORS)).map((key) => ({ ...named(entities[key]), color: COLORS[key] }));
  const percentiles = existing(PERCENTILES).map((key) => named(entities[key]));
  const subs = present(hass, meter.subs).map((entity) => ({ type: "tile", ...named(entity) }));
  return {
    title: meter.name,
    path: meter.path,
    icon: "mdi:waveform",
    show_icon_and_title: true,
    type: "sections",
    max_columns: COLUMNS,
    dense_section_placement: true,
    sections: [
      liveSection(hass, say, meter, config),
      section(2, heading(say("history"), "mdi:chart-line"), ...history(levels, 3, 7)),
      section(1, heading(say("alarms"), "mdi:alarm-light-outline"), ...alarms(hass, meter, automations)),
      section(
        1,
        heading(say("percentiles"), "mdi:chart-bell-curve"),
        ...PERCENTILES.flatMap((key) => tile(hass, meter, key, TREND)),
        ...history(percentiles, 24, 4),
      ),
      section(2, heading(say("controls"), "mdi:tune-variant"), ...controls(hass, meter)),
      section(2, heading(say("statistics"), "mdi:chart-bar"), ...statistics(hass, say, meter)),
      section(1, heading(say("files"), "mdi:sd"), ...files(hass, say, meter)),
      section(1, heading(say("health"), "mdi:heart-pulse"), ...health(hass, meter)),
      section(2, heading(say("further"), "mdi:sine-wave"), ...FURTHER.flatMap((key) => tile(hass, meter, key)), ...subs),
    ].filter(Boolean),
  };
}
