// The first view: all meters at a glance.

import { exceedances, full, gauge, heading, history, present, section, tile } from "./parts.js";

const COLUMNS = 3;

/** Return the zones that are called like the meters, or like their areas. */
function zonesOf(hass, meters) {
  const names = new Set(meters.flatMap((meter) => [meter.name, meter.area]).filter(Boolean));
  return Object.values(hass.states)
    .filter((state) => state.entity_id.startsWith("zone.") && names.has(state.attributes.friendly_name))
    .map((state) => state.entity_id);
}

/** Return what stands for the meters card where plain cards are wanted. */
function plainSection(hass, meter) {
  return section(
    1,
    heading(meter.name, "mdi:waveform", {
      badges: present(hass, [meter.entities.connection]).map((entity) => ({ type: "entity", entity })),
      tap_action: { action: "navigate", navigation_path: meter.path },
    }),
    ...gauge(hass, meter),
    ...["leq", "measurement_state", "overload", "exceedances_today"].flatMap((key) => tile(hass, meter, key)),
  );
}

export function metersView(hass, say, meters, config) {
  const zones = zonesOf(hass, meters);
  const of = (key) => present(hass, meters.map((meter) => meter.entities[key]));
  const named = meters
    .filter((meter) => of("lp").includes(meter.entities.lp))
    .map((meter) => ({ entity: meter.entities.lp, name: meter.name }));
  const overview =
    config.live_card === false
      ? meters.map((meter) => plainSection(hass, meter))
      : [
          section(
            COLUMNS,
            full({
              type: "custom:nl43-meters-card",
              meters: meters.map((meter) => meter.id),
              views: Object.fromEntries(meters.map((meter) => [meter.id, meter.path])),
            }),
          ),
        ];
  const map = { type: "map", entities: zones, theme_mode: "auto", default_zoom: 15 };
  return {
    title: say("meters"),
    path: "meters",
    icon: "mdi:view-dashboard",
    show_icon_and_title: true,
    type: "sections",
    max_columns: COLUMNS,
    dense_section_placement: true,
    sections: [
      ...overview,
      section(2, heading(say("levels"), "mdi:chart-line"), ...history(named, 3, 5)),
      ...(zones.length
        ? [section(1, heading(say("places"), "mdi:map-marker"), full({ ...map, grid_options: { rows: 5 } }))]
        : []),
      section(zones.length ? COLUMNS : 1, heading(say("exceedances"), "mdi:alarm-light-outline"), ...exceedances(of("exceedance"), 48)),
    ].filter(Boolean),
  };
}
