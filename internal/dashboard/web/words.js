// What the server says in codes, in plain words.

import { clock } from './format.js';

const gapReasons = {
  expired: 'The history kept no longer reaches back that far.',
  foreign: 'That ID belongs to another log: the server was started anew with an empty history, or the ID came from another server.',
  future: 'That ID lies ahead of everything this server has.',
  unknown: 'This server does not know that ID.',
  ambiguous: 'More than one event carries that ID, so the place is not certain.',
  slow: 'This reader fell so far behind that events left the history before it had read them.',
};

const gapPolicies = {
  all: 'Everything that is kept follows, so you may see some events again.',
  diff: 'What is missing and still kept follows.',
  reset: 'Nothing old follows, only new events. A page that shows state should load it afresh.',
};

// gapWords explains a weir.gap event: { title, text, kept, policy }.
export function gapWords(gap) {
  const kept = gap.oldest ? `Kept now: ${gap.oldest} to ${gap.newest}.` : '';
  const follows = kept ? gapPolicies[gap.policy] ?? '' : 'Nothing is kept of these topics, so only new events follow.';
  const after = gap.requested ? ` after ${gap.requested}` : '';
  return {
    title: gap.reason === 'slow' ? 'Some events were missed' : `Events${after} may be missing`,
    text: gapReasons[gap.reason] ?? `Reason: ${gap.reason}.`,
    kept,
    policy: `${follows} (policy ${gap.policy})`.trim(),
  };
}

// A problem is { title, text, code, status, final, retry }: whether waiting does not
// help, and the seconds that the server wants to be left alone, 0 for no wish.

export const unreachable = {
  title: 'The server cannot be reached',
  text: 'The request did not get an answer, so it is not known whether it was carried out.',
};

// away is the same for a stream, which asks again.
export const away = { title: unreachable.title, text: '', final: false };

export const noTickets = {
  title: 'No streams with a token or key',
  text: 'This server issues no tickets (setting access.tickets), which the page needs to open streams. Publishing works.',
  final: true,
};

export const takenBack = {
  title: 'Access was taken back',
  text: 'The server has ended what this token or key had opened.',
  status: 401,
  final: true,
};

// A Refused is a problem that a call met.
export class Refused extends Error {
  constructor(problem) {
    super(problem.text);
    Object.assign(this, problem);
  }
}

const problemTitles = {
  bad_topic: 'Not a topic name',
  bad_pattern: 'Not a topic pattern',
  bad_id: 'Not an event ID',
  bad_type: 'Not an event type',
  bad_parameter: 'A setting has a wrong value',
  unknown_parameter: 'A setting the server does not know',
  too_large: 'The event is too large',
  bad_json: 'Not valid JSON',
  method_not_allowed: 'Not possible here',
  unsupported_media_type: 'Not a content type for this',
  not_found: 'Not found',
  unavailable: 'The server cannot take this now',
  no_token: 'The server asks who you are',
  bad_token: 'Not a token for this server',
  expired_token: 'No longer valid',
  early_token: 'Not valid yet',
  revoked_token: takenBack.title,
  bad_key: 'Not a key of this server',
  bad_ticket: 'The ticket does not hold any more',
  forbidden: 'Not allowed',
  cross_origin: 'Not allowed from this page',
  keys_unavailable: 'The server cannot find out who you are now',
  auth_unavailable: 'The server cannot find out who you are now',
  too_many_tickets: 'Too many streams are being opened',
  too_many_streams: 'Too many streams are open',
  too_many_requests: 'Too much at once',
  overloaded: 'The server is full',
};

// problemWords reads a problem document, or makes do with the status.
export async function problemWords(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch { /* a proxy may answer with something else */ }
  return inWords({ ...problem, status: response.status }, Number(response.headers.get('Retry-After')) || 0);
}

// inWords makes a problem of { title, code, detail, status } as the server says it.
export function inWords({ title, code, detail, status }, retry = 0) {
  return {
    title: problemTitles[code] ?? title ?? `Refused with status ${status}`,
    text: detail ? sentence(detail) : `The answer was status ${status}.`,
    code,
    status,
    final: status < 500 && status !== 429,
    retry,
  };
}

// problemLine says what is in the way of a stream, and until when. It is undefined
// if nothing is.
export function problemLine({ problem, until }) {
  if (!problem) return undefined;
  const { title, text, message } = problem;
  const back = until ? `Back at ${clock(new Date(until), false)}.` : '';
  return [title && `${title}.`, text ?? message, back].filter(Boolean).join(' ');
}

function sentence(text) {
  const s = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(s) ? s : `${s}.`;
}
