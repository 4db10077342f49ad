// Who the page is for the server: nobody, or whom a token or an API key names.
//
// What the user gives is kept in memory, and in the storage of the tab if the user
// wants that. It leaves the page in the header Authorization of requests to this
// server and in no other way. An EventSource cannot send headers, so each stream
// gets a ticket of its own, which holds once.

import { here } from './address.js';
import { Refused, problemWords, takenBack, unreachable } from './words.js';

const stored = 'weir.access';

let credential = read();
let spare = null; // a ticket that nobody has used, and until when it holds
const events = new EventTarget();

// Whether a token or key is in use.
export const given = () => credential !== '';

// onAccess calls fn when a token or key comes into use or is given up by the user.
export const onAccess = (fn) => events.addEventListener('change', fn);

// onNews calls fn({ kind, title, text, until }) with what the server says about
// access: "refused" (say who you are), "limited" (this may not be done), or "ending"
// (the right to the streams ends at the time until, in ms).
export const onNews = (fn) => events.addEventListener('news', (event) => fn(event.detail));

function tell(detail) {
  events.dispatchEvent(new CustomEvent('news', { detail }));
}

// send is fetch with the token or key.
export async function send(url, init = {}) {
  const used = credential;
  let response;
  try {
    response = await fetch(url, { ...init, headers: { ...init.headers, ...bearer(used) } });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Refused(unreachable);
  }
  if (response.status === 401) refused(used, await problemWords(response.clone()));
  if (response.status === 403) limited(await problemWords(response.clone()));
  return response;
}

// call is send for requests that have to succeed.
export async function call(url, init) {
  const response = await send(url, init);
  if (!response.ok) throw new Refused(await problemWords(response));
  return response;
}

const bearer = (text) => (text ? { Authorization: `Bearer ${text}` } : {});

// withTicket returns the address of a stream with a ticket, or '' if there is none to
// be had: nobody has given a token or key, or the server has no tickets.
export async function withTicket(url) {
  const text = await ticket();
  return text && `${url}${url.includes('?') ? '&' : '?'}ticket=${encodeURIComponent(text)}`;
}

async function ticket() {
  if (!credential) return '';
  const kept = spare;
  spare = null;
  if (kept && Date.now() < kept.until) return kept.ticket;
  const response = await send(here('v1/tickets'), { method: 'POST' });
  if (response.status === 404) return ''; // it issues none, or no longer asks who comes
  if (!response.ok) throw new Refused(await problemWords(response));
  return (await response.json()).ticket;
}

// use takes a token or key into use if the server knows it, and otherwise throws.
export async function use(text, remember) {
  const bare = text.trim().replace(/^Bearer\s+/i, '');
  if (!/^[!-~]+$/.test(bare)) {
    throw new Refused({ title: 'Not a token or key', text: 'It has letters, digits and signs only: no spaces, no line ends.' });
  }
  const response = await fetchTicket(bare);
  if (response.ok) spare = { ...(await response.json()), until: Date.now() + 20_000 }; // of 30 s
  // Without tickets the streams will say why they cannot be opened; publishing works.
  else if (response.status !== 404) throw new Refused(await problemWords(response));
  credential = bare;
  write(remember ? bare : '');
  events.dispatchEvent(new Event('change'));
}

async function fetchTicket(text) {
  try {
    return await fetch(here('v1/tickets'), { method: 'POST', headers: bearer(text) });
  } catch {
    throw new Refused(unreachable);
  }
}

// forget gives the token or key up.
export function forget() {
  drop();
  events.dispatchEvent(new Event('change'));
}

function drop() {
  credential = '';
  spare = null;
  write('');
}

// refused is told that the server does not know who sent a request, with what was
// used then. By now it may be something else, which stays.
function refused(used, words) {
  if (used !== credential) return;
  drop();
  tell({ kind: 'refused', ...words });
}

// Who is known sees at the place where it happened what may not be done.
function limited(words) {
  if (!credential && words.code === 'forbidden') tell({ kind: 'limited', ...words });
}

// revoked is told that a stream was ended because the right to it was taken away. It
// reports whether that was the right of a token or key that this page has.
export function revoked() {
  if (!credential) return false;
  refused(credential, takenBack);
  return true;
}

// ending is told when the right to a stream ends.
export function ending(until) {
  if (credential) tell({ kind: 'ending', title: '', text: '', until });
}

// The storage of a tab may be switched off; then nothing is remembered.
function read() {
  try {
    return sessionStorage.getItem(stored) ?? '';
  } catch {
    return '';
  }
}

function write(text) {
  try {
    if (text) sessionStorage.setItem(stored, text);
    else sessionStorage.removeItem(stored);
  } catch { /* see read */ }
}
