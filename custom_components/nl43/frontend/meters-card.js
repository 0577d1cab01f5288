// The meters card: all meters at a glance, the worst first.

import { clock, level, writeSymbol } from "./format.js";
import { STYLE } from "./meters-style.js";
import { conditionOf, metersOf, numberOf, symbolOf, texts, worstFirst } from "./meters.js";

const SCALE = [20, 140];
const VALUES = ["leq", "lmax", "lmin", "ln1"];
// Milliseconds. Meters change places no more often.
const REST = 10_000;
const MOVE = { duration: 400, easing: "ease-in-out" };

const NEEDED = ["lp", ...VALUES, "measurement_state", "connection", "overload", "under_range", "exceedance", "exceedances_today"];

class MetersCard extends HTMLElement {
  static getStubConfig() {
    return {};
  }

  setConfig(config) {
    this._config = config;
    this._modules = new Map();
    this._orderedAt = 0;
    if (!this.shadowRoot) this.attachShadow({ mode: "open" });
    this.shadowRoot.innerHTML = `<style>${STYLE}</style><div class="rack"></div>`;
    this._rack = this.shadowRoot.querySelector(".rack");
    if (this._hass) this._update(null);
  }

  set hass(hass) {
    const before = this._hass;
    this._hass = hass;
    if (!before) hass.loadBackendTranslation("common", "nl43");
    if (this._config) this._update(before);
  }

  disconnectedCallback() {
    clearTimeout(this._timer);
  }

  getCardSize() {
    return 4 * Math.max(1, this._modules.size);
  }

  getGridOptions() {
    return { columns: "full", min_columns: 6, rows: "auto" };
  }

  _update(before) {
    const hass = this._hass;
    const anew = !before || ["entities", "devices", "areas", "localize", "locale"].some((part) => before[part] !== hass[part]);
    if (anew) this._meters = metersOf(hass, this._config.meters);
    let changed = anew;
    for (const meter of this._meters) {
      const isChanged = NEEDED.some((key) => before?.states[meter.entities[key]] !== hass.states[meter.entities[key]]);
      if (anew || isChanged) this._show(meter);
      changed ||= isChanged;
    }
    if (anew) {
      const known = new Set(this._meters.map(({ id }) => id));
      for (const [id, module] of this._modules) {
        if (known.has(id)) continue;
        module.root.remove();
        this._modules.delete(id);
      }
    }
    if (changed) this._arrange();
  }

  /** Put the worst first, at most once in a while. */
  _arrange() {
    const order = worstFirst(this._hass, this._meters).map(({ id }) => this._modules.get(id).root);
    if (order.every((root, index) => this._rack.children[index] === root)) return;
    const shown = this._rack.childElementCount === order.length;
    const wait = this._orderedAt + REST - Date.now();
    clearTimeout(this._timer);
    if (shown && wait > 0) {
      this._timer = setTimeout(() => this._arrange(), wait);
      return;
    }
    this._orderedAt = Date.now();
    const before = new Map(order.map((root) => [root, root.getBoundingClientRect()]));
    const focused = this.shadowRoot.activeElement;
    this._rack.append(...order);
    focused?.focus({ preventScroll: true });
    if (!shown || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const [root, { left, top }] of before) {
      const now = root.getBoundingClientRect();
      const [x, y] = [left - now.left, top - now.top];
      if (x || y) root.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], MOVE);
    }
  }

  _module(meter) {
    let module = this._modules.get(meter.id);
    if (module) return module;
    const root = document.createElement("div");
    root.innerHTML = `
      <a>
        <div class="top"><span class="lamp"></span><span class="name"></span><span class="run"></span></div>
        <div class="where"></div>
        <div class="reading"><span class="symbol"></span><span><span class="value"></span><span class="unit">dB</span></span></div>
        <div class="bar" aria-hidden="true"><div class="fill"></div></div>
        <div class="scale" aria-hidden="true"></div>
        <dl class="values"></dl>
        <div class="flag strong over"></div><div class="flag exceeded-now"></div><div class="flag warn under"></div>
        <div class="flag warn lost"></div>
        <div class="foot"><span class="connection"></span><span class="count"></span><span class="last"></span></div>
      </a>`;
    const find = (name) => root.querySelector(`.${name}`);
    for (let mark = SCALE[0]; mark <= SCALE[1]; mark += 20) {
      find("scale").append(Object.assign(document.createElement("span"), { textContent: mark }));
    }
    const values = VALUES.map((key) => {
      const pair = document.createElement("div");
      const [name, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
      pair.append(name, value);
      find("values").append(pair);
      return { key, pair, name, value };
    });
    module = { root, find, values, link: root.firstElementChild };
    this._modules.set(meter.id, module);
    return module;
  }

  _show(meter) {
    const hass = this._hass;
    const say = texts(hass);
    const state = (key) => hass.states[meter.entities[key]];
    const word = (key) => (state(key) ? hass.formatEntityState(state(key)) : "");
    const condition = conditionOf(hass, meter);
    const { root, find, values, link } = this._module(meter);
    const run = condition.connected ? state("measurement_state")?.state : null;
    root.className = `module ${condition.rank} ${run ?? ""} ${condition.level === null ? "old" : ""}`;
    link.href = this._pathOf(meter);
    find("name").textContent = meter.name;
    find("where").textContent = meter.area ?? "";
    find("run").textContent = run ? word("measurement_state") : "";
    writeSymbol(find("symbol"), symbolOf("lp", state("lp")));
    find("value").textContent = level(hass, condition.level);
    const part = condition.level === null ? 0 : (condition.level - SCALE[0]) / (SCALE[1] - SCALE[0]);
    find("fill").style.setProperty("--part", Math.min(1, Math.max(0, part)).toFixed(3));
    for (const { key, pair, name, value } of values) {
      pair.hidden = !state(key);
      writeSymbol(name, symbolOf(key, state(key)));
      value.textContent = level(hass, numberOf(state(key)));
    }
    const flag = (name, on, text) => {
      find(name).classList.toggle("on", Boolean(on));
      find(name).textContent = on ? text : "";
    };
    flag("over", condition.over, say("overload"));
    flag("under", condition.under, say("under_range"));
    const event = state("exceedance")?.attributes ?? {};
    const began = { limit: level(hass, event.limit), time: this._time(event.started) };
    const beyond = event.direction === "below" ? say("exceeded_below", began) : say("exceeded_above", began);
    flag("exceeded-now", condition.exceeded, beyond);
    const connection = state("connection");
    flag("lost", condition.rank === "trouble", say("lost", { state: word("connection"), time: this._time(connection?.last_changed) }));
    find("connection").textContent = condition.rank === "trouble" ? "" : word("connection");
    const count = numberOf(state("exceedances_today"));
    find("count").textContent = count > 1 ? say("today", { count }) : count ? say("one_today") : say("none_today");
    find("count").hidden = count === null;
    find("last").textContent = event.started
      ? say("last", { time: this._time(event.started), peak: level(hass, event.peak) })
      : "";
  }

  /** Return the meter's view on this dashboard; without one, the page of its device. */
  _pathOf(meter) {
    const view = this._config.views?.[meter.id];
    return view ? `/${location.pathname.split("/")[1]}/${view}` : `/config/devices/device/${meter.id}`;
  }

  /** Return a time of day; with its date if that is not today. */
  _time(moment) {
    if (!moment) return "";
    const seconds = Date.parse(moment) / 1000;
    const time = clock(this._hass, seconds);
    const day = (date) => new Intl.DateTimeFormat(this._hass.locale.language, { day: "numeric", month: "short" }).format(date);
    const [then, now] = [day(new Date(seconds * 1000)), day(new Date())];
    return then === now ? time : `${then}, ${time}`;
  }
}

customElements.define("nl43-meters-card", MetersCard);
