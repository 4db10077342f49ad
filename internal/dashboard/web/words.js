// What the server says in codes, in plain words.

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

export const unreachable = {
  title: 'The server cannot be reached',
  text: 'The request did not get an answer, so it is not known whether it was carried out.',
};

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
};

// problemWords reads a problem document, or makes do with the status.
export async function problemWords(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch { /* a proxy may answer with something else */ }
  const text = problem.detail ? sentence(problem.detail) : `The answer was status ${response.status}.`;
  return { title: problemTitles[problem.code] ?? problem.title ?? `Refused with status ${response.status}`, text };
}

function sentence(text) {
  const s = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(s) ? s : `${s}.`;
}
