// The level over the last minutes, on a canvas: lines, limits, exceedances, gaps that stay gaps.

const LEFT = 34;
const BOTTOM = 20;
const TOP = 8;
const RIGHT = 8;
// What a time on the axis needs.
const ROOM = 72;
const STEP_DB = 10;
// Points farther apart than this many intervals are not joined.
const GAP = 3.5;

/** Tell whether nothing is missing between two points; the history has no row for an equal level. */
const joined = (one, next, key = "lp") =>
  next.time - one.time <= GAP * one.interval || (one.held && next.held && one[key] === next[key]);

/** Return steps of the time axis that leave room for their times. */
function timeStep(seconds, width) {
  const most = Math.min(6, width / ROOM);
  return [10, 30, 60, 120, 300, 600, 900].find((step) => seconds / step <= most) ?? 1800;
}

/** Return the lowest and highest level of an axis; it moves in whole steps, and only if it must. */
export function axis(points, limits, before) {
  const levels = points.flatMap((point) => [point.lp, point.leq]).filter((value) => value != null);
  const all = [...levels, ...limits.map((limit) => limit.limit)];
  if (!all.length) return before ?? [30, 90];
  const low = Math.floor((Math.min(...all) - 1) / STEP_DB) * STEP_DB;
  const high = Math.ceil((Math.max(...all) + 1) / STEP_DB) * STEP_DB;
  const needed = [Math.min(low, high - 3 * STEP_DB), high];
  if (!before) return needed;
  // It shrinks only when there is room for two steps less.
  const shrinks = needed[0] - before[0] >= 2 * STEP_DB || before[1] - needed[1] >= 2 * STEP_DB;
  return shrinks ? needed : [Math.min(before[0], needed[0]), Math.max(before[1], needed[1])];
}

export class Chart {
  constructor(canvas) {
    this._canvas = canvas;
    this._context = canvas.getContext("2d");
    this._axis = null;
    this.cursor = null;
  }

  /** Draw what was read in the last seconds. */
  draw({ points, now, seconds, limits, colors, clock, number }) {
    const canvas = this._canvas;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const shown = points.filter((point) => point.time >= now - seconds);
    this._axis = axis(shown, limits, this._axis);
    const [low, high] = this._axis;
    const x = (time) => LEFT + ((time - (now - seconds)) / seconds) * (width - LEFT - RIGHT);
    const y = (level) => TOP + ((high - level) / (high - low)) * (height - TOP - BOTTOM);
    this._place = { x, y, shown, width, now, seconds };
    const context = this._context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "11px Roboto, sans-serif";
    context.lineWidth = 1;

    this._exceedances(context, { shown, limits, x, height, colors, now });
    context.fillStyle = colors.faint;
    context.strokeStyle = colors.grid;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let level = low; level <= high; level += STEP_DB) {
      const at = Math.round(y(level)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, at);
      context.lineTo(width - RIGHT, at);
      context.stroke();
      context.fillText(String(level), LEFT - 6, at);
    }
    context.textAlign = "center";
    context.textBaseline = "bottom";
    const step = timeStep(seconds, width);
    for (let time = Math.ceil((now - seconds) / step) * step; time <= now; time += step) {
      const at = x(time);
      if (at > LEFT + 16 && at < width - 20) context.fillText(clock(time, step < 60), at, height - 2);
    }
    for (const limit of limits) {
      const at = Math.round(y(limit.limit)) + 0.5;
      context.strokeStyle = colors.limit;
      context.setLineDash([6, 4]);
      context.beginPath();
      context.moveTo(LEFT, at);
      context.lineTo(width - RIGHT, at);
      context.stroke();
      context.setLineDash([]);
      context.fillStyle = colors.limit;
      // What is newest is on the right.
      context.textAlign = "left";
      context.textBaseline = "bottom";
      context.fillText(number(limit.limit), LEFT + 4, at - 2);
    }
    this._line(context, shown, "leq", { x, y, color: colors.leq, width: 1.5 });
    this._line(context, shown, "lp", { x, y, color: colors.lp, width: 2 });
    context.fillStyle = colors.alarm;
    for (const point of shown) {
      if (point.over || point.under) context.fillRect(x(point.time) - 1, TOP, 2, 5);
    }
    if (this.cursor !== null) this._drawCursor(context, height, colors);
  }

  /** Return the point nearest to a place on the canvas. */
  nearest(place) {
    const { x, shown } = this._place ?? { shown: [] };
    let best = null;
    for (const point of shown) {
      if (best === null || Math.abs(x(point.time) - place) < Math.abs(x(best.time) - place)) best = point;
    }
    return best;
  }

  /** Return the point so many points from the cursor, for the keyboard. */
  neighbour(steps) {
    const shown = this._place?.shown ?? [];
    const at = this.cursor === null ? shown.length : shown.indexOf(this.cursor);
    return shown[Math.min(shown.length - 1, Math.max(0, at + steps))] ?? null;
  }

  _drawCursor(context, height, colors) {
    const at = Math.round(this._place.x(this.cursor.time)) + 0.5;
    context.strokeStyle = colors.faint;
    context.beginPath();
    context.moveTo(at, TOP);
    context.lineTo(at, height - BOTTOM);
    context.stroke();
  }

  /** Shade the time in which a limit is exceeded, and wherever the level was past one. */
  _exceedances(context, { shown, limits, x, height, colors, now }) {
    context.fillStyle = colors.shade;
    const shade = (begin, end) => {
      const left = Math.max(LEFT, x(begin));
      context.fillRect(left, TOP, Math.max(1, x(end) - left), height - TOP - BOTTOM);
    };
    for (const limit of limits) {
      if (limit.exceeded_since !== null && limit.exceeded_since !== undefined) shade(limit.exceeded_since, now);
      if (limit.quantity !== "lp") continue;
      const past = (level) => level != null && (limit.direction === "below" ? level < limit.limit : level > limit.limit);
      for (let index = 1; index < shown.length; index += 1) {
        const [one, next] = [shown[index - 1], shown[index]];
        const inside = limit.exceeded_since != null && next.time >= limit.exceeded_since;
        if (past(one.lp) && past(next.lp) && !inside && joined(one, next)) shade(one.time, next.time);
      }
    }
  }

  _line(context, points, key, { x, y, color, width }) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.lineJoin = "round";
    context.beginPath();
    let before = null;
    for (const point of points) {
      const value = point[key];
      if (value === null || value === undefined) {
        before = null;
        continue;
      }
      if (before && joined(before, point, key)) context.lineTo(x(point.time), y(value));
      else context.moveTo(x(point.time), y(value));
      before = point;
    }
    context.stroke();
  }
}
