// An EventSource that says what it is doing and comes back to where it was.
//
// The browser reconnects by itself after a lost connection, and sends the last
// ID along. It gives up after an answer that is not a stream; then, after cut(), and
// always when the address holds a ticket, which holds once, this reader opens a new
// one and passes the ID in the query.

import { ending, given, onAccess, revoked, send, withTicket } from './access.js';
import { claim, evicted, release } from './lanes.js';
import { away, inWords, noTickets, problemWords, takenBack } from './words.js';
import { drop } from './flow.js';

const fullPause = 30_000; // milliseconds, about what the server tells browsers for which it has no room

// States: connecting, open, reconnecting (the browser is at it), waiting (until
// a moment this reader has chosen), closed.
export class Reader {
  lastID = '';
  attempt = 0;
  evicted = false; // closed for want of a connection

  #source = null;
  #timer = 0;
  #run = 0; // goes up with every open and close, to tell late answers apart
  #denied = false; // closed because of who asked, or because nobody said so

  // url(after) gives the address that continues after an ID, '' for none.
  // on has message(event), and may have gap(object) and state(name, about).
  // rank is what happens when others need room, see lanes.js.
  constructor(url, on, { rank = '' } = {}) {
    this.url = url;
    this.on = on;
    this.rank = rank;
    this.state = 'closed';
    onAccess(() => {
      if (this.state !== 'closed' || this.#denied) this.open();
    });
  }

  open(after = this.lastID) {
    this.#stop();
    this.lastID = after;
    if (!claim(this)) return;
    this.#set(this.attempt ? 'reconnecting' : 'connecting');
    this.#connect();
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

  async #connect() {
    const run = this.#run;
    const url = this.url(this.lastID);
    try {
      const ticketed = await withTicket(url);
      if (run === this.#run) this.#listen(new EventSource(ticketed || url), ticketed !== '');
    } catch (refused) {
      if (run !== this.#run) return;
      this.attempt++;
      this.#failed(refused.status ? refused : away);
    }
  }

  #listen(source, ticketed) {
    this.#source = source;
    // What opens may be the news that there is no room, which then comes at once.
    source.onopen = () => { this.#timer = setTimeout(() => this.#opened(), 30); };
    source.onmessage = (event) => {
      this.#seen(event);
      this.on.message(event);
    };
    source.addEventListener('weir.gap', (event) => {
      this.#seen(event);
      this.on.gap?.(JSON.parse(event.data));
    });
    source.addEventListener('weir.error', (event) => this.#full(JSON.parse(event.data)));
    source.addEventListener('weir.expiring', (event) => this.#renew(1000 * JSON.parse(event.data).seconds));
    source.addEventListener('weir.revoked', () => this.#revoked());
    source.onerror = () => {
      clearTimeout(this.#timer);
      this.attempt++;
      if (source.readyState === EventSource.CLOSED) this.#refused(ticketed);
      else if (ticketed) this.#again();
      else this.#set('reconnecting');
    };
  }

  #opened() {
    clearTimeout(this.#timer);
    this.attempt = 0;
    this.#set('open');
  }

  #seen(event) {
    if (this.state !== 'open') this.#opened();
    if (event.lastEventId) this.lastID = event.lastEventId;
    drop();
  }

  #stop() {
    this.#run++;
    this.evicted = this.#denied = false;
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    release(this);
  }

  #wait(pause, about = {}) {
    this.#timer = setTimeout(() => this.open(), pause);
    this.#set('waiting', { until: Date.now() + pause, ...about });
  }

  // again waits, longer each time, and opens.
  #again(problem) {
    this.#stop();
    const pause = Math.min(15000, 500 * 2 ** Math.min(this.attempt, 5));
    this.#wait(spread(Math.max(pause, 1000 * (problem?.retry ?? 0))), { problem });
  }

  // failed gives up or waits. What the request itself causes will not change by
  // waiting.
  #failed(problem) {
    if (!problem.final) return this.#again(problem);
    this.close({ problem });
    this.#denied = problem.status === 401 || problem.status === 403;
  }

  // refused asks once more with fetch, which can read the reason.
  async #refused(ticketed) {
    this.#stop();
    const run = this.#run;
    this.#set('reconnecting');
    const answer = await reason(this.url(this.lastID));
    if (run !== this.#run) return;
    if (answer) return this.#failed(answer);
    if (given() && !ticketed) return this.#failed(noTickets);
    this.#again();
  }

  // full is told by a stream of one event that there is no room. The time to wait is
  // in the stream, too, where only the browser can read it.
  #full(refusal) {
    this.#stop();
    this.#wait(spread(fullPause), { problem: inWords(refusal) });
  }

  // renew opens a new stream before the right to this one ends, in ms. It may hold
  // for longer: by a cookie that has changed, or by what an application says now.
  #renew(ms) {
    if (this.state !== 'open') this.#opened();
    ending(Date.now() + ms);
    this.#timer = setTimeout(() => this.open(), spread(0.4 * ms));
  }

  // revoked waits for another token or key. If this page gave none, it was the
  // connection that was ended, or what the server says next tells why.
  #revoked() {
    if (revoked()) this.#failed(takenBack);
    else this.#again();
  }

  #set(state, about = {}) {
    this.state = state;
    this.on.state?.(state, about);
  }
}

// spread makes that many readers do not all come at once.
const spread = (ms) => ms * (0.8 + 0.4 * Math.random());

// reason is why there is no stream at an address, null if there would be.
async function reason(url) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 5000);
  try {
    const response = await send(url, { headers: { Accept: 'text/event-stream' }, signal: stop.signal });
    if (response.status === 204) return { final: true, title: 'The server has no more events for this', text: '' };
    return response.ok ? null : await problemWords(response);
  } catch {
    return away;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}
