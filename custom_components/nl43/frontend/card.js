// The live card: one meter as an instrument.

import { Chart } from "./chart.js";
import { CONFIG_FORM, stubConfig, suggestion } from "./editor.js";
import { listen } from "./feed.js";
import { age, clock, elapsed, level, text, writeSymbol } from "./format.js";
import { STYLE } from "./style.js";

const QUANTITIES = ["leq", "lmax", "lmin", "lpeak", "ln1", "ln2", "ln3", "ln4", "ln5"];
const RANGES = [1, 5, 15, 60];
const SCALE = [20, 140];
const COLORS = {
  lp: "#4fd1c5",
  leq: "#f2c14e",
  limit: "#ff8a8d",
  shade: "rgb(229 72 77 / 22%)",
  alarm: "#ff4d52",
  grid: "rgb(255 255 255 / 9%)",
  faint: "#8aa19f",
};
// Seconds between two sentences for a screen reader.
const SPEAK = 30;
// A frame that is older than so many intervals is shown as old, whatever the status says.
const STALE = 4;
const STALE_AT_LEAST = 8;

class LiveCard extends HTMLElement {
  static getConfigForm() {
    return CONFIG_FORM;
  }

  static getStubConfig(hass) {
    return stubConfig(hass);
  }

  setConfig(config) {
    this._config = { minutes: 5, chart: true, controls: true, quantities: QUANTITIES, ...config };
    this._minutes = this._config.minutes;
    this._stop?.();
    this._stop = null;
    this._build();
    this._connect();
  }

  set hass(hass) {
    const before = this._hass;
    this._hass = hass;
    if (!before) {
      hass.loadBackendTranslation("common", "nl43");
      this._connect();
    }
    // Texts come late, and in another language when the user changes it.
    if (before?.localize !== hass.localize) this._label();
    else this._showControls();
  }

  connectedCallback() {
    this._connect();
    this._clock = setInterval(() => this._show(), 1000);
    this._sizes = new ResizeObserver(() => this._draw());
    this._sizes.observe(this);
  }

  disconnectedCallback() {
    clearInterval(this._clock);
    this._sizes?.disconnect();
    this._stop?.();
    this._stop = null;
  }

  getCardSize() {
    return 8;
  }

  getGridOptions() {
    return { columns: 12, min_columns: 6, rows: "auto" };
  }

  _build() {
    if (!this.shadowRoot) this.attachShadow({ mode: "open" });
    this.shadowRoot.innerHTML = `
      <style>${STYLE}</style>
      <ha-card>
        <div class="top">
          <div class="name" role="heading" aria-level="2"></div>
          <div class="state"><span class="dot"></span><span class="word"></span><span class="time"></span></div>
        </div>
        <div class="display">
          <div class="screen">
            <div class="numbers">
              <div class="main">
                <div class="symbol"></div>
                <div class="big"><span class="value"></span><span class="unit">dB</span></div>
              </div>
              <div class="bar" aria-hidden="true"><div class="fill"></div><div class="mark" hidden></div></div>
              <div class="scale" aria-hidden="true"></div>
              <div class="flags" role="alert">
                <div class="flag over"></div><div class="flag under"></div><div class="flag limit"></div>
              </div>
              <dl class="levels"></dl>
            </div>
            <div class="curve" style="display:flex;flex-direction:column">
              <div class="chart"><canvas tabindex="0" role="img"></canvas></div>
              <div class="legend">
                <span class="key" style="--color:${COLORS.lp}"></span>
                <span class="key" style="--color:${COLORS.leq}"></span>
                <span class="at"></span>
                <span class="ranges" role="group"></span>
              </div>
            </div>
          </div>
        </div>
        <div class="note" role="status"></div>
        <div class="controls">
          <span class="question" hidden></span>
          <button class="start go"></button><button class="pause"></button><button class="halt"></button>
          <button class="yes stop" hidden></button><button class="no" hidden></button>
        </div>
        <div class="gap" hidden></div>
        <div class="spoken" aria-live="polite"></div>
      </ha-card>`;
    const find = (selector) => this.shadowRoot.querySelector(selector);
    this._parts = Object.fromEntries(
      ["name", "state", "word", "time", "display", "symbol", "value", "fill", "mark", "scale", "over", "under",
        "limit", "levels", "curve", "at", "ranges", "note", "controls", "question", "start", "pause", "halt", "yes",
        "no", "gap", "spoken"].map((name) => [name, find(`.${name}`)]),
    );
    this._parts.canvas = find("canvas");
    this._parts.keys = [...this.shadowRoot.querySelectorAll(".key")];
    this._parts.over = find(".flag.over");
    this._parts.under = find(".flag.under");
    this._parts.limit = find(".flag.limit");
    this._parts.curve.hidden = !this._config.chart;
    this._parts.controls.hidden = !this._config.controls;
    this._parts.gap.hidden = this._config.controls;
    for (let value = SCALE[0]; value <= SCALE[1]; value += 20) {
      this._parts.scale.append(Object.assign(document.createElement("span"), { textContent: value }));
    }
    this._quantities = this._config.quantities.map((key) => {
      const box = Object.assign(document.createElement("div"), { className: "quantity" });
      const [name, value] = [document.createElement("dt"), document.createElement("dd")];
      box.append(name, value);
      this._parts.levels.append(box);
      return { key, name, value };
    });
    this._chart = new Chart(this._parts.canvas);
    this._listenToPointer();
    for (const minutes of RANGES) {
      const button = document.createElement("button");
      button.dataset.minutes = minutes;
      button.addEventListener("click", () => {
        this._minutes = minutes;
        this._label();
        this._draw();
      });
      this._parts.ranges.append(button);
    }
    this._parts.start.addEventListener("click", () => this._ask("start"));
    this._parts.halt.addEventListener("click", () => this._ask("stop"));
    this._parts.pause.addEventListener("click", () => this._command("pause", this._state("pause") !== "on"));
    this._parts.no.addEventListener("click", () => this._ask(null));
    this._parts.yes.addEventListener("click", () => {
      const asked = this._asked;
      this._ask(null);
      this._command("measurement", asked === "start");
    });
    if (this._hass) this._label();
  }

  _listenToPointer() {
    const canvas = this._parts.canvas;
    const point = (found) => {
      this._chart.cursor = found;
      this._draw();
    };
    canvas.addEventListener("pointermove", (event) => point(this._chart.nearest(event.offsetX)));
    canvas.addEventListener("pointerleave", () => point(null));
    canvas.addEventListener("blur", () => point(null));
    canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -1e9, End: 1e9 }[event.key];
      if (steps === undefined) return;
      event.preventDefault();
      point(this._chart.neighbour(steps));
    });
  }

  /** Begin to listen, as soon as it is known to which meter. */
  _connect() {
    if (!this._hass || !this._config || !this.isConnected || this._stop) return;
    const device = this._hass.devices[this._config.device_id];
    const entryId = device?.primary_config_entry ?? device?.config_entries?.[0];
    this._hasMeter = Boolean(entryId);
    this._entities = {};
    for (const entity of Object.values(this._hass.entities)) {
      if (entity.platform === "nl43" && entity.device_id === this._config.device_id) {
        this._entities[entity.translation_key] = entity.entity_id;
      }
    }
    if (entryId) {
      this._stop = listen(this._hass, entryId, this._entities, (feed) => {
        this._feed = feed;
        this._show();
      });
    } else {
      this._show();
    }
  }

  _state(key) {
    return this._hass.states[this._entities?.[key]]?.state;
  }

  _text(key, values) {
    return text(this._hass, key, values);
  }

  /** Write what does not change with each frame. */
  _label() {
    const parts = this._parts;
    if (!parts) return;
    parts.over.textContent = this._text("overload");
    parts.under.textContent = this._text("under_range");
    parts.start.textContent = this._text("start");
    parts.halt.textContent = this._text("stop");
    parts.no.textContent = this._text("cancel");
    parts.ranges.setAttribute("aria-label", this._text("time_span"));
    for (const button of parts.ranges.children) {
      button.textContent = this._text("minutes", { minutes: button.dataset.minutes });
      button.setAttribute("aria-pressed", String(Number(button.dataset.minutes) === this._minutes));
    }
    this._show();
  }

  get _age() {
    const time = this._feed?.frame?.time;
    return time === undefined ? null : Math.max(0, this._feed.now - time);
  }

  /** Whether what is shown is what the meter shows now. */
  get _isCurrent() {
    const { status, frame } = this._feed ?? {};
    const longest = Math.max(STALE_AT_LEAST, STALE * (frame?.interval ?? 1));
    return Boolean(status?.holds && frame && this._age <= longest);
  }

  _show() {
    if (!this._hass || !this._parts) return;
    const { meter, frame } = this._feed ?? {};
    const parts = this._parts;
    const main = frame?.channels.main ?? {};
    const current = this._isCurrent;
    const symbols = meter?.symbols ?? {};
    parts.name.textContent = this._config.title || meter?.name || "";
    writeSymbol(parts.symbol, symbols.lp ?? "Lp");
    parts.value.textContent = level(this._hass, main.lp);
    parts.display.classList.toggle("old", !current);
    const part = main.lp == null ? 0 : (main.lp - SCALE[0]) / (SCALE[1] - SCALE[0]);
    parts.fill.style.setProperty("--part", Math.min(1, Math.max(0, part)).toFixed(3));
    for (const quantity of this._quantities) {
      writeSymbol(quantity.name, symbols[quantity.key] ?? quantity.key.toUpperCase());
      quantity.value.textContent = level(this._hass, main[quantity.key]);
    }
    parts.over.classList.toggle("on", current && main.over === true);
    parts.under.classList.toggle("on", current && main.under === true);
    this._showLimit(current);
    this._showState(current);
    this._showNote(current);
    this._showControls();
    this._draw();
    this._speak(current, main, symbols);
  }

  get _limits() {
    return this._feed?.meter?.limits ?? [];
  }

  _showLimit(current) {
    const exceeded = this._limits.find((limit) => limit.exceeded_since != null);
    const { limit, mark } = this._parts;
    limit.classList.toggle("on", Boolean(current && exceeded));
    if (exceeded) {
      limit.textContent = this._text("exceeded", {
        limit: level(this._hass, exceeded.limit),
        time: elapsed(this._feed.now - exceeded.exceeded_since),
      });
    }
    const first = this._limits.find((each) => each.quantity === "lp");
    mark.hidden = !first;
    if (first) mark.style.left = `${((first.limit - SCALE[0]) / (SCALE[1] - SCALE[0])) * 100}%`;
  }

  _showState(current) {
    const { frame } = this._feed ?? {};
    const { state, word, time } = this._parts;
    const known = current ? frame.state : null;
    state.className = `state ${known ?? ""}`;
    word.textContent = known ? this._text(known) : "";
    time.textContent =
      known && known !== "stopped" && frame.started !== null ? elapsed(this._feed.now - frame.started) : "";
  }

  /** Say why nothing, or nothing new, is shown. */
  _showNote(current) {
    const { status, frame } = this._feed ?? {};
    const note = this._parts.note;
    let key = null;
    if (!this._hasMeter) key = "no_meter";
    else if (status && !status.loaded) key = "not_loaded";
    else if (status && !current && status.connection !== "connected") key = `is_${status.connection}`;
    else if (status && !current) key = frame ? "is_late" : "is_connecting";
    const last = frame && !current ? this._text("last_reading", { age: age(this._hass, this._age) }) : "";
    const why = key ? [this._text(key), last].filter(Boolean).map((sentence) => `${sentence}.`).join(" ") : "";
    const said = this._failure ?? why;
    note.classList.toggle("on", said !== "");
    note.classList.toggle("bad", Boolean(this._failure) || ["is_unreachable", "is_wedged", "is_refused"].includes(key));
    if (note.textContent !== said) note.textContent = said;
  }

  _showControls() {
    if (!this._parts || !this._hass || !this._entities) return;
    const { start, halt, pause, yes, no, question } = this._parts;
    const [measurement, paused] = [this._state("measurement"), this._state("pause")];
    const asked = this._asked ?? null;
    question.hidden = yes.hidden = no.hidden = asked === null;
    start.hidden = asked !== null || measurement === "on";
    halt.hidden = asked !== null || measurement !== "on";
    pause.hidden = asked !== null || measurement !== "on" || paused === undefined;
    start.disabled = this._busy || measurement !== "off";
    halt.disabled = pause.disabled = Boolean(this._busy);
    pause.textContent = this._text(paused === "on" ? "go_on" : "pause");
    if (asked) {
      question.textContent = this._text(asked === "start" ? "really_start" : "really_stop");
      yes.textContent = this._text(asked);
    }
  }

  _ask(what) {
    this._asked = what;
    this._failure = null;
    this._show();
    (what ? this._parts.yes : this._state("measurement") === "on" ? this._parts.halt : this._parts.start).focus();
  }

  async _command(key, on) {
    this._busy = true;
    this._failure = null;
    this._show();
    try {
      await this._hass.callService("switch", on ? "turn_on" : "turn_off", { entity_id: this._entities[key] });
    } catch (error) {
      this._failure = error.message;
    }
    this._busy = false;
    this._show();
  }

  _draw() {
    if (!this._config?.chart || !this._hass || !this._feed || !this.isConnected) return;
    const { meter, points } = this._feed;
    const [lp, leq] = this._parts.keys;
    const symbols = meter?.symbols ?? {};
    writeSymbol(lp, symbols.lp ?? "Lp");
    writeSymbol(leq, symbols.leq ?? "Leq");
    this._chart.draw({
      points,
      now: this._feed.now,
      seconds: this._minutes * 60,
      limits: this._config.limit_lines === false ? [] : this._limits.filter(({ quantity }) => quantity === "lp"),
      colors: COLORS,
      clock: (seconds, withSeconds) => clock(this._hass, seconds, withSeconds),
      number: (value) => level(this._hass, value),
    });
    const cursor = this._chart.cursor;
    this._parts.at.textContent = cursor
      ? `${clock(this._hass, cursor.time, true)}  ${level(this._hass, cursor.lp)} / ${level(this._hass, cursor.leq)} dB`
      : "";
  }

  /** Tell a screen reader in one sentence: now and then, and as soon as levels come or fail to. */
  _speak(current, main, symbols) {
    if (!this._feed?.status) return;
    const now = Date.now() / 1000;
    if (current === this._spoken?.current && now - this._spoken.at < SPEAK) return;
    this._spoken = { current, at: now };
    const levels = { symbol: symbols.lp ?? "Lp", level: level(this._hass, main.lp), leq: level(this._hass, main.leq) };
    const sentence = current ? `${this._text("spoken", levels)}.` : this._parts.note.textContent;
    this._parts.spoken.textContent = sentence;
    this._parts.canvas.setAttribute("aria-label", `${this._text("chart", { minutes: this._minutes })}. ${sentence}`);
  }
}

customElements.define("nl43-live-card", LiveCard);
window.customCards = window.customCards || [];
window.customCards.push({
  type: "nl43-live-card",
  name: "Sound level meter, live",
  description: "Levels of a Rion NL-43 or NL-53, once a second, with a chart.",
  preview: true,
  getEntitySuggestion: suggestion,
  documentationURL: "https://github.com/nl43/nl43",
});
