// The same thing from a terminal.

import { given } from './access.js';
import { here, publishURL, query, topicPath } from './address.js';

// The token itself is not shown; WEIR_TOKEN is also what the program weir looks at.
const who = () => (given() ? ' -H "Authorization: Bearer $WEIR_TOKEN"' : '');

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// One topic has the shorter address; * is no glob inside quotes.
export function watchCommand(topics, extra = []) {
  if (topics.length === 0) return '';
  const one = topics.length === 1;
  const path = one ? `v1/topics/${topicPath(topics[0])}` : 'v1/events';
  const pairs = one ? extra : [...topics.map((t) => ['topic', t]), ...extra];
  return `curl -N${who()} ${quote(here(path + query(pairs)))}`;
}

// --data-raw and not -d, because data may begin with @.
export function publishCommand(event) {
  const flag = event.data.startsWith('@') ? '--data-raw' : '-d';
  return `curl${who()} ${flag} ${quote(event.data)} ${quote(publishURL(event))}`;
}
