// The drawing at the top of the page: a weir in section. Water stands behind the
// dam, higher when more events arrive, and every event is a drop over the crest.

import { colors, fit } from './chart.js';
import { Meter, onDrop } from './flow.js';
import { rate } from './format.js';

const spacing = 0.09; // seconds between drops
const most = 12; // drops waiting their turn; in a flood the level tells the rest
const still = matchMedia('(prefers-reduced-motion: reduce)');

export function startCrest(canvas, readout) {
  const scene = new Scene(canvas);
  const meter = new Meter();
  onDrop((n) => {
    meter.add(n);
    scene.drop();
  });
  setInterval(() => {
    readout.textContent = rate(meter.rate());
    scene.goal = Math.min(1, Math.log2(1 + meter.rate()) / 10);
    if (still.matches) scene.paint(0);
  }, 500);
}

class Scene {
  goal = 0; // wanted level, 0 to 1
  #level = 0;
  #drops = [];
  #waiting = 0;
  #pause = 0; // seconds until the next drop may start
  #visible = true;
  #moving = false; // a next picture is asked for
  #last = 0;
  #time = 0;

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d');
    this.#readColors();
    new ResizeObserver(() => this.paint(0)).observe(canvas);
    document.addEventListener('weir:theme', () => {
      this.#readColors();
      this.paint(0);
    });
    new IntersectionObserver(([entry]) => {
      this.#visible = entry.isIntersecting;
      this.#next();
    }).observe(canvas);
    still.addEventListener('change', () => this.#next());
  }

  drop() {
    if (this.#visible && !document.hidden && !still.matches) this.#waiting = Math.min(most, this.#waiting + 1);
  }

  #readColors() {
    this.color = colors(this.canvas, 'water', 'water-wash', 'stone', 'line', 'soft', 'ink');
  }

  #next() {
    if (this.#moving) return;
    if (!this.#visible || still.matches) {
      this.#last = 0;
      return;
    }
    this.#moving = true;
    requestAnimationFrame((now) => {
      this.#moving = false;
      // Thirty pictures a second are enough for slow water.
      const passed = now - this.#last;
      if (passed >= 32) {
        this.paint(this.#last ? Math.min(passed, 100) / 1000 : 0);
        this.#last = now;
      }
      this.#next();
    });
  }

  paint(seconds) {
    const { width, height } = fit(this.canvas, this.context);
    if (width === 0) return;
    this.#time += seconds;
    this.#level = still.matches ? this.goal : this.#level + (this.goal - this.#level) * Math.min(1, seconds * 1.5);
    const shape = section(width, height, this.#level);
    this.#water(shape, width, height);
    this.#dam(shape, height);
    this.#staff(shape);
    this.#move(shape, seconds);
  }

  #water(s, width, height) {
    const { context: g } = this;
    const wave = (x, size) => size * Math.sin(x / 46 + this.#time * 0.9) + size * 0.6 * Math.sin(x / 19 - this.#time * 1.3);
    const surface = new Path2D();
    surface.moveTo(0, s.top + wave(0, 1));
    for (let x = 6; x < s.crest - 26; x += 6) surface.lineTo(x, s.top + wave(x, 1));
    surface.lineTo(s.crest - 20, s.top);
    surface.bezierCurveTo(...s.over);
    const below = s.end;
    for (let x = below.x + 6; x <= width + 6; x += 6) {
      const calm = Math.min(1, (x - below.x) / 220);
      surface.lineTo(x, below.y + wave(x * 1.4, 2.6 - 1.6 * calm));
    }
    const body = new Path2D(surface);
    body.lineTo(width, height);
    body.lineTo(0, height);
    body.closePath();
    g.fillStyle = this.color['water-wash'];
    g.fill(body);
    g.strokeStyle = this.color.water;
    g.lineWidth = 2;
    g.lineJoin = 'round';
    g.stroke(surface);
  }

  #dam(s, height) {
    const g = this.context;
    g.fillStyle = this.color.stone;
    g.beginPath();
    g.moveTo(s.crest - 20, height);
    g.lineTo(s.crest - 20, s.sill + 8);
    g.quadraticCurveTo(s.crest - 20, s.sill, s.crest - 8, s.sill);
    g.bezierCurveTo(s.crest + 26, s.sill, s.crest + 34, s.end.y + 6, s.crest + 78, height);
    g.closePath();
    g.fill();
  }

  // staff draws the gauge by which the level is read.
  #staff(s) {
    const g = this.context;
    const x = s.crest - 64;
    g.strokeStyle = this.color.soft;
    g.lineWidth = 1;
    g.beginPath();
    for (let i = 0; i <= 10; i++) {
      const y = Math.round(s.sill - 4 - (i / 10) * s.rise) + 0.5;
      g.moveTo(x, y);
      g.lineTo(x + (i % 5 === 0 ? 12 : 7), y);
    }
    g.moveTo(x + 0.5, s.sill + 8);
    g.lineTo(x + 0.5, s.sill - 12 - s.rise);
    g.stroke();
  }

  #move(s, seconds) {
    this.#pause -= seconds;
    if (this.#waiting > 0 && this.#pause <= 0) {
      this.#waiting--;
      this.#pause = spacing * (0.6 + 0.8 * Math.random());
      this.#drops.push({ at: 0, speed: 0.92 + 0.16 * Math.random(), size: 2.4 + 1.8 * Math.random() });
    }
    const g = this.context;
    g.fillStyle = this.color.water;
    for (const d of this.#drops) {
      const [x, y, fade] = place(d.at, s);
      d.at += (seconds * d.speed) / 2.6;
      g.globalAlpha = fade;
      g.beginPath();
      g.arc(x, y - d.size / 2, d.size, 0, 2 * Math.PI);
      g.fill();
    }
    g.globalAlpha = 1;
    this.#drops = this.#drops.filter((d) => d.at < 1);
  }
}

// section computes the lines of the drawing for a size and a level.
function section(width, height, level) {
  const crest = Math.round(width * (width < 700 ? 0.62 : 0.68));
  const rise = height * 0.34;
  const sill = Math.round(height * 0.5);
  const top = sill - 5 - level * rise;
  const end = { x: crest + 84, y: height - 22 };
  const over = [crest + 24, top, crest + 30, end.y - 4, end.x, end.y];
  return { crest, rise, sill, top, end, over };
}

// place gives the position of a drop: along the surface, over the crest, down
// the fall and away. at runs from 0 to 1.
function place(at, s) {
  const start = Math.max(0, s.crest - 320);
  if (at < 0.4) {
    const p = Math.max(0, at) / 0.4;
    return [start + (s.crest - 20 - start) * p, s.top, Math.min(1, Math.max(0, at) * 8)];
  }
  if (at < 0.75) {
    const p = (at - 0.4) / 0.35;
    const [ax, ay, bx, by, cx, cy] = s.over;
    return [bezier(s.crest - 20, ax, bx, cx, p), bezier(s.top, ay, by, cy, p), 1];
  }
  const p = (at - 0.75) / 0.25;
  return [s.end.x + 140 * p, s.end.y + 1, 1 - p];
}

function bezier(a, b, c, d, t) {
  const u = 1 - t;
  return u * u * u * a + 3 * u * u * t * b + 3 * u * t * t * c + t * t * t * d;
}
