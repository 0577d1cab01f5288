// What the views are put together from.

/** Return those entities that exist. */
export const present = (hass, ids) => ids.filter((id) => id && hass.entities[id] && !hass.entities[id].hidden);

/** Return a card as wide as its section. */
export const full = (card) => ({ ...card, grid_options: { columns: "full", ...card.grid_options } });

export const heading = (text, icon, more) => ({ type: "heading", heading: text, icon, heading_style: "title", ...more });

/** Return a section, null if there is nothing below its heading. */
export function section(span, ...cards) {
  if (cards.every((card) => card.type === "heading")) return null;
  return { type: "grid", column_span: span, cards };
}

/** Return the tile of a meter's entity as a list: empty where the meter has none. */
export function tile(hass, meter, key, more) {
  return present(hass, [meter.entities[key]]).map((entity) => ({
    type: "tile",
    entity,
    name: { type: "entity" },
    ...more,
  }));
}

export function history(entities, hours, rows) {
  if (entities.length === 0) return [];
  const graph = { type: "history-graph", hours_to_show: hours, entities, fit_y_data: true };
  return [full({ ...graph, grid_options: { rows } })];
}

export function exceedances(entities, hours) {
  if (entities.length === 0) return [];
  return [
    full({ type: "logbook", target: { entity_id: entities }, hours_to_show: hours, grid_options: { rows: 5 } }),
  ];
}

/** Return a level as a dial, with the colours of the live card's bar. */
export function gauge(hass, meter) {
  return present(hass, [meter.entities.lp]).map((entity) =>
    full({
      type: "gauge",
      entity,
      name: hass.states[entity]?.attributes.friendly_name ? { type: "entity" } : undefined,
      min: 20,
      max: 140,
      needle: true,
      segments: [
        { from: 20, color: "#35b7a6" },
        { from: 85, color: "#e8c547" },
        { from: 110, color: "#e5484d" },
      ],
    }),
  );
}
