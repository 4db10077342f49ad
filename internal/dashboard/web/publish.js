// The publish form.

import { $, el } from './dom.js';
import { onAccess } from './access.js';
import { matches, publish } from './api.js';
import { publishCommand } from './curl.js';
import { watch, watches } from './playground.js';

const form = $('publish');

export function startPublish() {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener('input', showCommand);
  onAccess(showCommand);
  showCommand();
}

const fields = () => ({
  topic: $('pub-topic').value.trim(),
  type: $('pub-type').value.trim(),
  key: $('pub-key').value.trim(),
  data: $('pub-data').value,
});

function showCommand() {
  $('pub-curl').textContent = publishCommand(fields());
}

async function send() {
  const event = fields();
  const began = performance.now();
  try {
    const id = await publish(event);
    const took = Math.max(1, Math.round(performance.now() - began));
    show('ok', el('span', {}, 'Kept as ', el('b', { class: 'mono' }, id), ` in ${took} ms.`), offer(event.topic));
  } catch (refused) {
    show('bad', el('strong', {}, refused.title ?? 'Not published'), el('span', {}, refused.message, later(refused)));
  }
}

const later = ({ retry }) => (retry ? ` Try again in ${retry} s.` : '');

// offer says so when the event went to a topic that is not being watched.
function offer(topic) {
  if (watches().some((pattern) => matches(pattern, topic))) return null;
  const button = el('button', { type: 'button', class: 'link' }, 'Watch it');
  button.addEventListener('click', () => {
    watch(topic);
    button.parentElement.remove();
  });
  return el('span', {}, 'You are not watching this topic. ', button);
}

function show(kind, ...children) {
  const box = $('pub-result');
  box.dataset.kind = kind;
  box.replaceChildren(...children.filter(Boolean));
}
