// One subscription for each meter and page, however many cards show it.

// Seconds. What a chart can show at most; how long a hidden page goes on listening.
const KEPT = 3600;
const HIDDEN = 60;
// How far apart the rows of the history are, unless a level stays the same or somebody has chosen otherwise.
const HISTORY = 10;

const feeds = new Map();

/** Hear all of a meter until the returned function is called; `listener` gets the feed. */
export function listen(hass, entryId, entities, listener) {
  let feed = feeds.get(entryId);
  if (!feed) {
    feed = new Feed(hass.connection, entryId, entities);
    feeds.set(entryId, feed);
  }
  feed.listeners.add(listener);
  feed.update();
  listener(feed);
  return () => {
    feed.listeners.delete(listener);
    feed.update();
  };
}

class Feed {
  constructor(connection, entryId, entities) {
    this.listeners = new Set();
    this.status = null;
    this.meter = null;
    this.frame = null;
    /** Points of the chart, the oldest first; `interval` is when the next one was expected. */
    this.points = [];
    this._skew = 0;
    this._connection = connection;
    this._entryId = entryId;
    this._entities = entities;
    this._subscription = null;
    this._hidden = null;
    document.addEventListener("visibilitychange", () => this._visibilityChanged());
  }

  /** Return Home Assistant's time, whatever the clock of this computer shows. */
  get now() {
    return Date.now() / 1000 - this._skew;
  }

  /** Subscribe as long as somebody looks. */
  update() {
    const wanted = this.listeners.size > 0 && !(document.hidden && this._hidden === "long");
    if (wanted && !this._subscription) this._start();
    if (!wanted && this._subscription) this._stop();
  }

  _visibilityChanged() {
    clearTimeout(this._timer);
    this._hidden = null;
    if (document.hidden) {
      this._timer = setTimeout(() => {
        this._hidden = "long";
        this.update();
      }, HIDDEN * 1000);
    } else {
      this.update();
    }
  }

  _start() {
    const message = { type: "nl43/subscribe_frames", entry_id: this._entryId, acknowledge: true };
    const heard = (event) => this._heard(event);
    this._subscription = this._connection.subscribeMessage(heard, message).catch((error) => {
      this.status = { loaded: false, connection: null, holds: false, error: error.message };
      this._tell();
      return () => {};
    });
    this._fill();
  }

  _stop() {
    this._subscription.then((unsubscribe) => unsubscribe());
    this._subscription = null;
  }

  _heard(event) {
    if (event.kind === "status") this.status = event;
    if (event.kind === "meter") this.meter = event;
    if (event.kind === "frame") {
      this.frame = event;
      this._skew = Date.now() / 1000 - event.now;
      const { lp, leq, over, under } = event.channels.main ?? {};
      const last = this.points[this.points.length - 1];
      if (!last || last.time < event.time) this.points.push({ time: event.time, interval: event.interval, lp, leq, over, under });
      const begin = event.time - KEPT;
      while (this.points[0].time < begin) this.points.shift();
      this._connection
        .sendMessagePromise({ type: "nl43/acknowledge_frame", subscription: this.status.subscription })
        .catch(() => {});
    }
    this._tell();
  }

  /** Fill the chart with what was read before: the last minutes from memory, older from history. */
  async _fill() {
    const ask = (message) => this._connection.sendMessagePromise(message);
    const recent = await ask({ type: "nl43/recent_frames", entry_id: this._entryId }).catch(() => null);
    const points = (recent?.time ?? []).map((time, index) => ({
      time,
      interval: recent.interval[index],
      lp: recent.lp[index],
      leq: recent.leq[index],
      over: recent.over[index],
      under: recent.under[index],
    }));
    const until = points[0]?.time ?? this.points[0]?.time ?? this.now;
    const older = await this._history(ask, until);
    const all = [...older, ...points];
    const end = all.length ? all[all.length - 1].time : 0;
    this.points = [...all, ...this.points.filter((point) => point.time > end)];
    this._tell();
  }

  async _history(ask, until) {
    const { lp, leq } = this._entities;
    if (!lp) return [];
    const history = await ask({
      type: "history/history_during_period",
      start_time: new Date((this.now - KEPT) * 1000).toISOString(),
      end_time: new Date(until * 1000).toISOString(),
      entity_ids: [lp, leq].filter(Boolean),
      minimal_response: true,
      no_attributes: true,
      significant_changes_only: false,
      include_start_time_state: false,
    }).catch(() => ({}));
    const number = (state) => (Number.isFinite(parseFloat(state)) ? parseFloat(state) : null);
    const others = (history[leq] ?? []).map((state) => ({ time: state.lu, value: number(state.s) }));
    let at = 0;
    return (history[lp] ?? [])
      .filter((state) => state.lu < until)
      .map((state) => {
        while (at + 1 < others.length && others[at + 1].time <= state.lu + 0.5) at += 1;
        return { time: state.lu, interval: HISTORY, held: true, lp: number(state.s), leq: others[at]?.value ?? null };
      });
  }

  _tell() {
    for (const listener of this.listeners) listener(this);
  }
}
