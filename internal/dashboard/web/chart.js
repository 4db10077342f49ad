// A small line chart over the last two minutes, drawn on a canvas.

import { clock } from './format.js';

const windowMS = 120_000;
const gapMS = 3500; // a longer silence is drawn as a gap, not bridged

// colors reads the page's colours, which are declared in CSS as typed properties
// and so come back resolved for the present theme.
export function colors(element, ...names) {
  const style = getComputedStyle(element);
  return Object.fromEntries(names.map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
}

// fit gives the canvas as many pixels as the screen has under it, and returns
// its size in CSS pixels.
export function fit(canvas, context) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  const w = Math.round(width * ratio);
  const h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { width, height };
}

export class Chart {
  #points = []; // [time in ms, value], rising in time
  #at = null; // time the reader points at

  // format turns a value into text, axis does for the scale; top(max) gives the
  // upper end of the scale; onPoint is told the time the reader points at.
  constructor(figure, { color, format, axis = format, top, onPoint }) {
    this.canvas = figure.querySelector('canvas');
    this.now = figure.querySelector('.chart-now');
    this.range = figure.querySelector('.chart-range');
    this.name = this.canvas.getAttribute('aria-label');
    Object.assign(this, { color, format, axis, top, onPoint });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    document.addEventListener('weir:theme', () => this.draw());
    this.#listen();
  }

  set(points) {
    this.#points = points;
    this.draw();
  }

  // point shows the value at a time, null goes back to the newest.
  point(time) {
    this.#at = time;
    this.draw();
  }

  #listen() {
    const { canvas } = this;
    const point = (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      const { from, to } = this.#span();
      this.onPoint(from + ((event.clientX - left) / width) * (to - from));
    };
    canvas.addEventListener('pointermove', point);
    canvas.addEventListener('pointerdown', point);
    canvas.addEventListener('pointerleave', () => this.onPoint(null));
    canvas.addEventListener('blur', () => this.onPoint(null));
    canvas.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (event.key === 'Escape') this.onPoint(null);
      if (!step || this.#points.length === 0) return;
      event.preventDefault();
      const i = this.#at === null ? this.#points.length - 1 : this.#nearest(this.#at);
      this.onPoint(this.#points[Math.max(0, Math.min(this.#points.length - 1, i + step))][0]);
    });
  }

  #span() {
    const to = this.#points.at(-1)?.[0] ?? Date.now();
    return { from: to - windowMS, to };
  }

  #nearest(time) {
    let best = 0;
    this.#points.forEach(([t], i) => {
      if (Math.abs(t - time) < Math.abs(this.#points[best][0] - time)) best = i;
    });
    return best;
  }

  draw() {
    const context = this.canvas.getContext('2d');
    const { width, height } = fit(this.canvas, context);
    if (width === 0) return;
    const { from, to } = this.#span();
    const values = this.#points.map(([, v]) => v);
    const max = this.top(values.length ? Math.max(...values) : 0);
    const foot = height - 18;
    const x = (t) => ((t - from) / (to - from)) * width;
    const y = (v) => foot - (Math.min(v, max) / max) * (foot - 8);
    const c = colors(this.canvas, this.color, 'line', 'soft', 'surface');

    grid(context, { width, max, y, c });
    this.#line(context, { x, y, foot, color: c[this.color] });
    labels(context, { foot, max, y, x, to, axis: this.axis, c });
    const i = this.#at === null ? -1 : this.#nearest(this.#at);
    if (this.#points[i]) mark(context, x(this.#points[i][0]), y(this.#points[i][1]), foot, c, this.color);
    this.#words(values, i);
  }

  #line(context, { x, y, foot, color }) {
    for (const run of runs(this.#points)) {
      const trace = new Path2D();
      run.forEach(([t, v], i) => (i ? trace.lineTo(x(t), y(v)) : trace.moveTo(x(t), y(v))));
      const area = new Path2D(trace);
      area.lineTo(x(run.at(-1)[0]), foot);
      area.lineTo(x(run[0][0]), foot);
      context.globalAlpha = 0.13;
      context.fillStyle = color;
      context.fill(area);
      context.globalAlpha = 1;
      context.strokeStyle = color;
      context.lineWidth = 1.75;
      context.lineJoin = 'round';
      context.stroke(trace);
    }
  }

  // words puts the figures into the caption, where they can be read and copied.
  #words(values, i) {
    if (values.length === 0) {
      this.now.textContent = '–';
      this.range.textContent = '';
      return;
    }
    const [time, value] = this.#points[i] ?? this.#points.at(-1);
    const low = this.format(Math.min(...values));
    const high = this.format(Math.max(...values));
    this.now.textContent = this.format(value);
    this.range.textContent = i >= 0 ? `at ${clock(new Date(time), false)}` : `min ${low} · max ${high}`;
    this.canvas.setAttribute('aria-label', `${this.name}: ${this.format(value)}, between ${low} and ${high} in two minutes. Arrow keys read single values.`);
  }
}

function grid(context, { width, max, y, c }) {
  context.strokeStyle = c.line;
  context.lineWidth = 1;
  for (const v of [0, max / 2, max]) {
    const at = Math.round(y(v)) + 0.5;
    context.beginPath();
    context.moveTo(0, at);
    context.lineTo(width, at);
    context.stroke();
  }
}

// labels stand above the line, each with an edge that keeps it readable.
function labels(context, { foot, max, y, x, to, axis, c }) {
  context.font = '11px system-ui, sans-serif';
  context.fillStyle = c.soft;
  context.strokeStyle = c.surface;
  context.lineWidth = 3;
  context.textBaseline = 'top';
  const write = (text, px, py, align) => {
    context.textAlign = align;
    context.strokeText(text, px, py);
    context.fillText(text, px, py);
  };
  for (const v of [max / 2, max]) write(axis(v), 2, Math.round(y(v)) + 4, 'left');
  for (const [ago, text, align] of [[windowMS, '2 min ago', 'left'], [windowMS / 2, '1 min', 'center'], [0, 'now', 'right']]) {
    write(text, x(to - ago), foot + 5, align);
  }
}

function mark(context, px, py, foot, c, color) {
  context.strokeStyle = c.soft;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(Math.round(px) + 0.5, 8);
  context.lineTo(Math.round(px) + 0.5, foot);
  context.stroke();
  context.beginPath();
  context.arc(px, py, 4, 0, 2 * Math.PI);
  context.fillStyle = c[color];
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = c.surface;
  context.stroke();
}

// runs splits the points where samples are missing.
function runs(points) {
  const list = [];
  points.forEach((p, i) => {
    if (i === 0 || p[0] - points[i - 1][0] > gapMS) list.push([]);
    list.at(-1).push(p);
  });
  return list;
}
