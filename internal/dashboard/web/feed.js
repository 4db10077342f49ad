// The list of received events: newest at the bottom, bounded, and following
// along only while the reader is at the bottom.

import { $, el } from './dom.js';
import { clock, plural } from './format.js';
import { prettyJSON } from './pretty.js';

const limit = 500; // rows kept in view
const gapLimit = 20; // gap rows kept even when the events around them have gone
const nearBottom = 32; // pixels that still count as the bottom

export class Feed {
  #queue = [];
  #due = false;
  #dropped = 0;
  #below = 0;
  #gaps = 0;
  #following = true;

  constructor() {
    this.box = $('feed');
    this.rows = $('feed-rows');
    this.button = $('follow');
    this.box.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.button.addEventListener('click', () => this.#follow());
    $('gaps-show').addEventListener('click', () => [...this.rows.querySelectorAll('.gap')].at(-1)?.scrollIntoView({ block: 'nearest' }));
    // A row that was opened to be read should stay where it is.
    this.rows.addEventListener('toggle', (event) => {
      if (event.target.open) this.#following = this.#atBottom();
    }, true);
  }

  event(envelope) {
    this.#add('row', () => eventRow(envelope));
  }

  // note adds a row that is about the connection, not an event of a topic.
  note(text, detail, bad = false) {
    this.#add('note', () => el('li', { class: bad ? 'note bad' : 'note' }, el('span', {}, text), detail ? el('span', { class: 'mono' }, detail) : null));
  }

  gap(words) {
    this.#gaps++;
    this.#add('gap', () => el('li', { class: 'gap' },
      el('strong', {}, words.title), el('p', {}, words.text), el('p', {}, words.policy), words.kept ? el('p', { class: 'mono' }, words.kept) : null));
  }

  clear() {
    this.#queue = [];
    this.#dropped = this.#below = this.#gaps = 0;
    this.#following = true;
    this.rows.replaceChildren();
    this.#paint();
  }

  // Rows are made once per frame. A hidden page has no frames, so the queue is
  // bounded as well, in strides so that each event costs little.
  #add(kind, make) {
    this.#queue.push({ kind, make });
    if (this.#queue.length > 2 * limit) this.#trimQueue();
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#flush();
    });
  }

  #trimQueue() {
    const old = surplus(this.#queue, (q) => q.kind);
    this.#queue = this.#queue.filter((q) => !old.has(q));
    this.#dropped += old.size;
  }

  #flush() {
    this.#trimQueue();
    if (!this.#following) this.#below += this.#queue.filter((q) => q.kind === 'row').length;
    this.rows.append(...this.#queue.map((q) => q.make()));
    this.#queue = [];
    const old = surplus([...this.rows.children], (row) => row.className);
    for (const row of old) row.remove();
    this.#dropped += old.size;
    this.#paint();
    if (this.#following) this.box.scrollTop = this.box.scrollHeight;
  }

  #paint() {
    $('feed-empty').hidden = this.rows.children.length > 0;
    $('feed-dropped').hidden = this.#dropped === 0;
    $('feed-dropped').textContent = `${plural(this.#dropped, 'older row')} no longer shown`;
    $('gaps').hidden = this.#gaps === 0;
    $('gaps-show').textContent = this.#gaps;
    this.button.hidden = this.#following;
    this.button.textContent = this.#below ? `${plural(this.#below, 'new event')} below` : 'To the newest';
  }

  #atBottom() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < nearBottom;
  }

  #scrolled() {
    this.#following = this.#atBottom();
    if (this.#following) this.#below = 0;
    this.#paint();
  }

  #follow() {
    this.#following = true;
    this.#below = 0;
    this.box.scrollTop = this.box.scrollHeight;
    this.#paint();
    this.box.focus({ preventScroll: true });
  }
}

// surplus picks the oldest items beyond the limits. Gaps have a limit of their
// own, so that a long replay does not wash away the notice that precedes it.
function surplus(items, kindOf) {
  const gaps = items.filter((item) => kindOf(item) === 'gap');
  const others = items.filter((item) => kindOf(item) !== 'gap');
  return new Set([
    ...gaps.slice(0, Math.max(0, gaps.length - gapLimit)),
    ...others.slice(0, Math.max(0, others.length - limit)),
  ]);
}

// An event row is one line that opens to the whole event; what is inside is
// made only then.
function eventRow(e) {
  const text = e.base64 ? `binary, base64: ${e.data}` : e.data;
  const summary = el('summary', {},
    el('time', { datetime: e.time }, clock(new Date(e.time), false)),
    el('span', { class: 'row-topic' }, e.topic),
    el('span', { class: 'row-type' }, e.type ?? ''),
    el('span', { class: 'row-data' }, text.length > 400 ? `${text.slice(0, 400)}…` : text || '(empty)'),
    el('span', { class: 'row-id' }, e.id));
  const details = el('details', {}, summary);
  details.addEventListener('toggle', () => details.append(whole(e)), { once: true });
  return el('li', { class: 'row' }, details);
}

function whole(e) {
  const facts = el('dl', {});
  const fact = (name, value) => value && facts.append(el('div', {}, el('dt', {}, name), el('dd', {}, value)));
  fact('id', e.id);
  fact('topics', (e.topics ?? [e.topic]).join(', '));
  fact('type', e.type);
  fact('key', e.key);
  fact('time', e.time);
  fact('encoding', e.base64 ? 'base64' : '');
  return el('div', { class: 'whole' }, el('pre', { tabindex: 0 }, e.base64 ? e.data : prettyJSON(e.data)), facts);
}
