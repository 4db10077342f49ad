// Demo: the server's time with a counter, one event a second.

import { $, el } from './dom.js';
import { here } from './address.js';
import { Reader } from './reader.js';
import { problemLine } from './words.js';

const keep = 100; // lines

export function startTimeDemo() {
  const lines = $('time-lines');
  let fresh = true; // the next opening is a start, not a return
  let connection = 0;

  const reader = new Reader(() => here('demo/time'), { message, state });

  $('time-start').addEventListener('click', () => {
    if (reader.state !== 'closed') return reader.close();
    fresh = true;
    reader.open('');
  });
  $('time-drop').addEventListener('click', () => {
    if (reader.state === 'waiting') reader.comeBack();
    else reader.cut(2000);
  });

  // Only a start clears what was there. Clearing at every opening would wipe
  // the lines each time the connection is lost and comes back.
  function opened() {
    if (fresh) {
      lines.replaceChildren();
      connection = 0;
      fresh = false;
    }
    if (++connection > 1) append(el('li', { class: 'note' }, `Connection ${connection}`));
  }

  function message(event) {
    const [, time, n] = /^Server time: ([\d:]+), Counter: (\d+)$/.exec(event.data) ?? [];
    if (time) show(time, n);
    append(el('li', {}, event.data));
  }

  function show(time, n) {
    for (const [id, text] of [['time-clock', time], ['time-count', n]]) {
      $(id).textContent = text;
      delete $(id).dataset.idle;
    }
  }

  function append(line) {
    lines.append(line);
    while (lines.children.length > keep) lines.firstElementChild.remove();
    lines.scrollTop = lines.scrollHeight;
  }

  function state(name, about) {
    if (name === 'open') opened();
    const running = name !== 'closed';
    $('time-start').textContent = running ? 'Stop' : 'Start';
    $('time-drop').disabled = !(name === 'open' || name === 'waiting');
    $('time-drop').textContent = name === 'waiting' ? 'Come back now' : 'Drop and come back';
    const waiting = about.cut ? 'Dropped, back in 2 s' : 'Reconnecting';
    $('time-note').textContent = about.note ?? problemLine(about)
      ?? { open: '', connecting: 'Connecting', reconnecting: 'Reconnecting', waiting, closed: '' }[name];
  }
}
