// An EventSource that says what it is doing and comes back to where it was.
//
// The browser reconnects by itself after a lost connection, and sends the last
// ID along. It gives up after an answer that is not a stream; then, and after
// cut(), this reader opens a new one and passes the ID in the query.

import { claim, evicted, release } from './lanes.js';
import { problemWords } from './words.js';
import { drop } from './flow.js';

// States: connecting, open, reconnecting (the browser is at it), waiting (until
// a moment this reader has chosen), closed.
export class Reader {
  lastID = '';
  attempt = 0;
  evicted = false; // closed for want of a connection

  #source = null;
  #timer = 0;
  #run = 0; // goes up with every open and close, to tell late answers apart

  // url(after) gives the address that continues after an ID, '' for none.
  // on has message(event), and may have gap(object) and state(name, about).
  // rank is what happens when others need room, see lanes.js.
  constructor(url, on, { rank = '' } = {}) {
    this.url = url;
    this.on = on;
    this.rank = rank;
    this.state = 'closed';
  }

  open(after = this.lastID) {
    this.#stop();
    this.lastID = after;
    if (!claim(this)) return;
    this.#set(this.attempt ? 'reconnecting' : 'connecting');
    const source = new EventSource(this.url(after));
    this.#source = source;
    source.onopen = () => {
      this.attempt = 0;
      this.#set('open');
    };
    source.onmessage = (event) => {
      this.#seen(event);
      this.on.message(event);
    };
    source.addEventListener('weir.gap', (event) => {
      this.#seen(event);
      this.on.gap?.(JSON.parse(event.data));
    });
    source.onerror = () => {
      this.attempt++;
      if (source.readyState === EventSource.CLOSED) this.#refused();
      else this.#set('reconnecting');
    };
  }

  close(about = {}) {
    this.#stop();
    this.attempt = 0;
    this.#set('closed', about);
  }

  // cut drops the connection and comes back after the pause, or at comeBack().
  cut(pause) {
    this.#stop();
    this.#wait(pause, { cut: true });
  }

  comeBack() {
    if (this.state === 'waiting' || this.evicted) this.open();
  }

  evict() {
    this.close({ note: evicted });
    this.evicted = true;
  }

  #seen(event) {
    if (event.lastEventId) this.lastID = event.lastEventId;
    drop();
  }

  #stop() {
    this.#run++;
    this.evicted = false;
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    release(this);
  }

  #wait(pause, about = {}) {
    this.#timer = setTimeout(() => this.open(), pause);
    this.#set('waiting', { until: Date.now() + pause, ...about });
  }

  // refused asks once more with fetch, which can read the reason. What the
  // request itself causes will not change by waiting.
  async #refused() {
    this.#stop();
    const run = this.#run;
    this.#set('reconnecting');
    const answer = await reason(this.url(this.lastID));
    if (run !== this.#run) return;
    if (answer?.final) return this.close({ problem: answer });
    this.#wait(Math.min(15000, 500 * 2 ** Math.min(this.attempt, 5)) * (0.8 + 0.4 * Math.random()), { problem: answer });
  }

  #set(state, about = {}) {
    this.state = state;
    this.on.state?.(state, about);
  }
}

async function reason(url) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 5000);
  try {
    const response = await fetch(url, { headers: { Accept: 'text/event-stream' }, signal: stop.signal });
    if (response.status === 204) return { final: true, title: 'The server has no more events for this', text: '' };
    if (response.ok) return null;
    const final = response.status < 500 && response.status !== 429;
    return { final, ...(await problemWords(response)) };
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}
