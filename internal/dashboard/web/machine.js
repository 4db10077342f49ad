// The figures of this machine, from the topic on which the server publishes them.

import { $ } from './dom.js';
import { eventsURL } from './address.js';
import { Chart } from './chart.js';
import { bytes, count, percent, rate } from './format.js';
import { Reader } from './reader.js';
import { problemLine } from './words.js';

const samplesKept = 121;

const charts = {
  cpu: { color: 'water', format: percent, axis: (v) => `${v} %`, top: () => 100, value: (s) => s.cpu },
  memory: { color: 'moss', format: bytes, axis: (n) => bytes(n).replace(/\.0+ /, ' '), top: memoryScale, value: (s) => s.mem_used },
  requests: { color: 'water', format: rate, axis: count, top: (max) => ceiling(max, 10), value: (s) => s.requests },
  errors: { color: 'brick', format: rate, axis: count, top: (max) => ceiling(max, 4), value: (s) => s.errors },
};

let samples = []; // rising in time
let total = 1; // bytes of memory in the machine

export function startMachine() {
  for (const [name, chart] of Object.entries(charts)) {
    chart.view = new Chart($(`chart-${name}`), { ...chart, onPoint: pointAll });
  }
  const reader = new Reader(
    (after) => eventsURL(['weir/stats'], after ? [['last_event_id', after]] : [['last', '120']]),
    { message: (event) => add(JSON.parse(JSON.parse(event.data).data)), state: showState },
    { rank: 'yield' },
  );
  // A page in the background leaves its connection to others; what it missed is
  // in the history when it comes back.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) reader.close({ note: '' });
    else if (reader.state === 'closed') reader.open();
  });
  if (!document.hidden) reader.open();
}

// add ignores what it has: after a gap the server may send it again.
function add(sample) {
  const newest = samples.at(-1)?.time ?? 0;
  if (sample.time <= newest) return;
  samples = [...samples, sample].slice(-samplesKept).filter((s) => s.time > sample.time - 121_000);
  schedule();
}

// The history comes at once as many events; it is drawn once.
let due = false;
function schedule() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    show();
  });
}

function show() {
  const now = samples.at(-1);
  total = now.mem_total || total;
  $('n-connections').textContent = count(now.connections);
  $('n-published').textContent = rate(now.published);
  $('n-delivered').textContent = rate(now.delivered);
  $('n-rss').textContent = bytes(now.rss);
  $('memory-total').textContent = `of ${bytes(total)}`;
  for (const chart of Object.values(charts)) {
    chart.view.set(samples.map((s) => [s.time, chart.value(s)]));
  }
}

// One reading line goes through all four charts.
function pointAll(time) {
  for (const chart of Object.values(charts)) chart.view.point(time);
}

function showState(name, about) {
  const words = { reconnecting: 'Reconnecting.', waiting: 'Reconnecting.', closed: 'Not connected.' }[name] ?? '';
  const note = about.note && 'Paused while the demos use its connection.';
  $('machine-state').textContent = note ?? problemLine(about) ?? words;
}

// memoryScale doubles from 1 GiB until there is room above max, up to all there is.
function memoryScale(max) {
  let top = 2 ** 30;
  while (top < max * 1.1) top *= 2;
  return Math.min(top, total);
}

// ceiling rounds up to 1, 2 or 5 times a power of ten, at least to least.
function ceiling(max, least) {
  if (max <= least) return least;
  const power = 10 ** Math.floor(Math.log10(max));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= max);
}
