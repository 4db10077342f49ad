// Demo: a reader that opens late has the whole history.

import { $, el } from './dom.js';
import { eventsURL } from './address.js';
import { forget, kept, publish } from './api.js';
import { clock, plural } from './format.js';
import { Reader } from './reader.js';
import { problemLine } from './words.js';

const topic = 'demo/history';

export function startHistoryDemo() {
  let counter = -1; // lines published so far, -1 until the server was asked
  const early = new Column('early', []);
  const late = new Column('late', [['since', 'start']]);

  $('history-publish').addEventListener('click', () => attempt(async () => {
    await early.opened();
    if (counter < 0) counter = await kept(topic);
    await publish({ topic, data: `Line ${++counter}` });
  }));

  $('history-late').addEventListener('click', () => {
    if (late.reader.state === 'closed') late.start();
    else late.stop();
  });

  $('history-forget').addEventListener('click', () => attempt(async () => {
    await forget(topic);
    counter = 0;
    early.clear();
    late.stop();
    late.clear();
    return 'The topic is empty again.';
  }));
}

async function attempt(action) {
  try {
    $('history-note').textContent = (await action()) ?? '';
  } catch (refused) {
    $('history-note').textContent = problemLine({ problem: refused });
  }
}

// A Column is one reader of the topic and the list of what it received.
class Column {
  #since = '';
  #waiting = [];

  constructor(name, start) {
    this.name = name;
    this.lines = $(`history-${name}-lines`);
    this.reader = new Reader(
      (after) => eventsURL([topic], after ? [['last_event_id', after]] : start),
      { message: (event) => this.#add(JSON.parse(event.data)), state: (name, about) => this.#state(name, about) },
    );
  }

  start() {
    this.clear();
    this.reader.open('');
  }

  stop() {
    this.reader.close();
  }

  clear() {
    this.lines.replaceChildren();
    this.#describe();
  }

  // opened resolves when the stream is open, which it starts if need be, or when
  // it was given up.
  opened() {
    if (this.reader.state === 'open') return Promise.resolve();
    if (this.reader.state === 'closed') this.reader.open();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #add(event) {
    this.lines.append(el('li', {},
      el('span', {}, event.data),
      el('span', { class: 'row-id' }, event.id),
      el('time', { datetime: event.time }, clock(new Date(event.time), false))));
    this.lines.scrollTop = this.lines.scrollHeight;
    this.#describe();
  }

  #state(name, about) {
    if (name === 'open') this.#since ||= clock(new Date(), false);
    if (name === 'closed') this.#since = '';
    if (name === 'open' || name === 'closed') {
      for (const resolve of this.#waiting.splice(0)) resolve();
    }
    if (this.name === 'late') {
      $('history-late').textContent = name === 'closed' ? 'Open the late reader' : 'Close the late reader';
    }
    this.#describe(about.note ?? problemLine(about));
  }

  #describe(note) {
    const n = this.lines.children.length;
    const open = this.#since ? `open since ${this.#since}` : this.reader?.state === 'closed' ? 'not open' : 'connecting';
    $(`history-${this.name}-note`).textContent = note ?? `${open} · ${plural(n, 'line')}`;
  }
}
