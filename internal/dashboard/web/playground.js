// Watching topics: what is watched, the state of the connection, the events.

import { $, el } from './dom.js';
import { Reader } from './reader.js';
import { Feed } from './feed.js';
import { Meter } from './flow.js';
import { onAccess } from './access.js';
import { eventsURL } from './address.js';
import { currentID } from './api.js';
import { watchCommand } from './curl.js';
import { count, plural, rate } from './format.js';
import { gapWords } from './words.js';

const cutPause = 4000; // milliseconds without a connection after a cut

const feed = new Feed();
const meter = new Meter();
let topics = [];
let received = 0;
let returning = false; // the connection was lost or closed since it was last open
let resumed = null; // counts what comes right after a return
let about = {};
let told = ''; // the last problem that is in the list
let since = 0; // when the present state began

const reader = new Reader(
  (after) => eventsURL(topics, after ? [['last_event_id', after], ['policy', policy()]] : start()),
  { message, gap: (gap) => feed.gap(gapWords(gap)), state: showState },
  { rank: 'keep' },
);

export const watches = () => topics;

export function startPlayground() {
  const asked = new URLSearchParams(location.search).getAll('topic');
  $('watch').addEventListener('submit', (event) => {
    event.preventDefault();
    const input = $('watch-topic');
    watch(...input.value.split(/[\s,]+/));
    input.value = '';
  });
  $('watch-topic').addEventListener('keydown', (event) => {
    if (event.key === 'Backspace' && event.target.value === '' && topics.length) unwatch(topics.at(-1));
  });
  for (const button of document.querySelectorAll('[data-try]')) {
    button.addEventListener('click', () => watch(button.dataset.try));
  }
  $('watch-from').addEventListener('change', () => {
    $('watch-after-box').hidden = $('watch-from').value !== 'after';
    showCommand();
  });
  $('watch-policy').addEventListener('change', showCommand);
  $('watch-after').addEventListener('input', showCommand);
  $('watch-again').addEventListener('click', startOver);
  $('cut').addEventListener('click', cut);
  $('toggle').addEventListener('click', toggle);
  $('clear').addEventListener('click', () => feed.clear());
  onAccess(showCommand);
  setInterval(tick, 500);
  watch(...(asked.length ? asked : ['playground']));
}

// watch adds topics; what is already watched goes on from the last event seen.
export function watch(...more) {
  const fresh = more.filter((t) => t && !topics.includes(t));
  if (fresh.length === 0) return;
  topics = [...topics, ...new Set(fresh)];
  changed();
}

function unwatch(topic) {
  topics = topics.filter((t) => t !== topic);
  changed();
  $('watch-topic').focus();
}

function changed() {
  $('chips').replaceChildren(...topics.map(chip));
  const search = new URLSearchParams(topics.map((t) => ['topic', t])).toString();
  history.replaceState(null, '', search === 'topic=playground' ? location.pathname + location.hash : `?${search.replaceAll('%2F', '/')}${location.hash}`);
  showCommand();
  if (topics.length) reader.open();
  else reader.close({ idle: true });
}

function chip(topic) {
  const remove = el('button', { type: 'button', 'aria-label': `Stop watching ${topic}`, title: 'Stop watching' }, '×');
  remove.addEventListener('click', () => unwatch(topic));
  return el('li', {}, el('span', {}, topic), remove);
}

// Where to start

const policy = () => $('watch-policy').value;

function start() {
  const from = $('watch-from').value;
  if (from === 'after') return [['last_event_id', $('watch-after').value.trim()], ['policy', policy()]];
  if (from === 'start') return [['since', 'start']];
  return from === 'now' ? [] : [from.split('=')];
}

function startOver() {
  feed.clear();
  received = 0;
  $('last-id').textContent = 'none yet';
  if (topics.length) reader.open('');
}

function showCommand() {
  const command = watchCommand(topics, start());
  $('watch-curl').textContent = command || 'nothing is watched';
}

// Events

function message(event) {
  received++;
  meter.add();
  if (resumed) resumed.events++;
  try {
    feed.event(JSON.parse(event.data));
  } catch {
    feed.note('An event came that is no envelope.', event.data.slice(0, 200), true);
  }
}

// Connection

// cut needs a point to come back to. Before the first event the page knows none
// and asks for it, so that nothing published meanwhile is lost.
async function cut() {
  if (reader.state === 'waiting') return reader.comeBack();
  $('cut').disabled = true;
  if (!reader.lastID) reader.lastID = await currentID(topics);
  reader.cut(cutPause);
}

function toggle() {
  if (reader.state === 'closed') reader.open();
  else reader.close();
}

function showState(state, more) {
  about = more;
  since = Date.now();
  $('state').dataset.state = state;
  if (more.cut) feed.note('Connection cut. Publish something now; it will be here after the return.');
  if (more.problem) tell(more.problem);
  if (state === 'open') {
    if (returning && reader.lastID) announceResume();
    returning = false;
    told = '';
  } else if (state !== 'connecting') {
    returning = true;
  }
  $('cut').disabled = !(state === 'open' || state === 'waiting');
  $('cut').textContent = state === 'waiting' ? 'Come back now' : 'Cut the connection';
  $('toggle').textContent = state === 'closed' ? 'Open' : 'Close';
  $('toggle').disabled = topics.length === 0;
  tick();
  $('state-said').textContent = $('state-text').textContent;
}

// tell puts a problem into the list, once. That the server asks who is there stands
// at the top of the page.
function tell({ title, text, status }) {
  if (status === 401 || !text || text === told) return;
  told = text;
  feed.note(title, text, true);
}

// What was missed comes right after the opening. What is published in that same
// moment counts as missed too, which is near enough for a passing remark.
function announceResume() {
  const mine = { events: 0 };
  resumed = mine;
  feed.note('Connected again, continuing after', reader.lastID);
  setTimeout(() => {
    if (resumed !== mine) return;
    resumed = null;
    about = { caughtUp: mine.events, until: Date.now() + 5000 };
    tick();
  }, 300);
}

function tick() {
  $('received').textContent = count(received);
  $('rate').textContent = rate(meter.rate());
  if (reader.lastID) $('last-id').textContent = reader.lastID;
  $('state-text').textContent = stateWords();
}

function stateWords() {
  const waited = Math.floor((Date.now() - since) / 1000);
  const left = Math.max(0, Math.ceil((about.until - Date.now()) / 1000));
  switch (reader.state) {
    case 'connecting':
      return waited < 5 ? 'Connecting' : 'Connecting. Are other tabs open? A browser allows six streams to one server.';
    case 'open':
      return about.caughtUp > 0 && left > 0 ? `Open · ${plural(about.caughtUp, 'event')} caught up` : 'Open';
    case 'reconnecting':
      return `Reconnecting · attempt ${Math.max(1, reader.attempt)}, ${waited} s`;
    case 'waiting':
      if (about.cut) return `Cut · back in ${left} s`;
      return `Reconnecting · attempt ${reader.attempt + 1} in ${left} s${about.problem ? ` · ${about.problem.title}` : ''}`;
    default:
      if (about.idle) return 'Closed · nothing is watched';
      return about.problem ? `Closed · ${about.problem.title}` : 'Closed';
  }
}
