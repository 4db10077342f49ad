// Demo: one chunked response, read piece by piece while it arrives.

import { $, el } from './dom.js';
import { given, send, withTicket } from './access.js';
import { here } from './address.js';
import { seconds } from './format.js';
import { claim, evicted, release } from './lanes.js';
import { drop } from './flow.js';
import { Refused, away, problemLine, problemWords } from './words.js';

export function startChunksDemo() {
  let running = null;

  $('chunks-start').addEventListener('click', () => {
    if (running) return running.stop('Stopped.');
    running = new Download();
    running.run().finally(() => {
      running = null;
      $('chunks-start').textContent = 'Start again';
    });
    $('chunks-start').textContent = 'Stop';
  });
  $('chunks-page').addEventListener('click', openPage);
}

// A link sends no headers, so with a token or key in use its copy with a ticket is
// followed instead.
async function openPage(event) {
  if (!given()) return;
  event.preventDefault();
  const link = $('chunks-page').cloneNode();
  try {
    link.href = (await withTicket(link.href)) || link.href;
    link.click();
  } catch (refused) {
    note(problemLine({ problem: refused }));
  }
}

class Download {
  #abort = new AbortController();
  #began = performance.now();
  #pieces = 0;
  #why = '';

  stop(why) {
    this.#why = why;
    this.#abort.abort();
  }

  evict() {
    this.stop(evicted);
  }

  async run() {
    claim(this);
    $('chunks-lines').replaceChildren();
    this.#progress(0, 10);
    note('Asking');
    try {
      const response = await send(here('demo/chunks'), { signal: this.#abort.signal, cache: 'no-store' });
      if (!response.ok) throw new Refused(await problemWords(response));
      note('');
      await this.#read(response.body);
      note(`Ended by the server after ${seconds(performance.now() - this.#began)}.`);
    } catch (error) {
      note(this.#why || problemLine({ problem: error.status ? error : away }));
    } finally {
      release(this);
    }
  }

  // A chunk is not a piece: the network may split and join them, also inside a
  // character. A piece ends where <br> says so.
  async #read(body) {
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const parts = rest.split(/<br\s*\/?>/i);
      rest = parts.pop();
      for (const part of parts) this.#piece(part);
      if (done) return;
    }
  }

  #piece(html) {
    // Browsers get padding as a comment, so that they paint at once.
    const text = html.replaceAll(/<!--.*?-->/gs, '').trim();
    if (!text) return;
    drop();
    const took = seconds(performance.now() - this.#began);
    $('chunks-lines').append(el('li', {}, el('span', {}, text), el('time', {}, `+${took}`)));
    $('chunks-lines').scrollTop = $('chunks-lines').scrollHeight;
    const total = Number(/(\d+) pieces/.exec(text)?.[1]);
    if (total) this.#progress(this.#pieces, total);
    else this.#progress(++this.#pieces, $('chunks-progress').max);
  }

  #progress(value, max) {
    Object.assign($('chunks-progress'), { max, value });
    $('chunks-count').textContent = `${value} of ${max}`;
  }
}

function note(text) {
  $('chunks-note').textContent = text;
}
