// Which automations use a meter, and by which sliders their limits are moved.

const SLIDER = /^(input_number|number)\.\w+$/;

/** Return every text in a configuration. */
function* wordsOf(value) {
  if (typeof value === "string") yield value;
  else if (value && typeof value === "object") for (const part of Object.values(value)) yield* wordsOf(part);
}

/** Return the automations of a meter and the sliders that are in them; none to a user who may not know. */
export async function automationsOf(hass, meter) {
  const ask = (message) => hass.callWS(message).catch(() => ({}));
  const related = await ask({ type: "search/related", item_type: "device", item_id: meter.id });
  const automations = (related.automation ?? []).filter((entity) => hass.states[entity]).sort();
  const sliders = new Set();
  for (const entity of automations) {
    const { config } = await ask({ type: "automation/config", entity_id: entity });
    for (const word of wordsOf(config)) {
      if (SLIDER.test(word) && hass.states[word] && hass.entities[word]?.platform !== "nl43") sliders.add(word);
    }
  }
  return { automations, sliders: [...sliders] };
}
