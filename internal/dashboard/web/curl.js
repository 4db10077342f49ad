// The same thing from a terminal.

import { here, publishURL, query } from './api.js';

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// One topic has the shorter address; * is no glob inside quotes.
export function watchCommand(topics, extra = []) {
  if (topics.length === 0) return '';
  const one = topics.length === 1;
  const path = one ? `v1/topics/${topics[0].split('/').map(encodeURIComponent).join('/')}` : 'v1/events';
  const pairs = one ? extra : [...topics.map((t) => ['topic', t]), ...extra];
  return `curl -N ${quote(here(path + query(pairs)))}`;
}

// --data-raw and not -d, because data may begin with @.
export function publishCommand(event) {
  const flag = event.data.startsWith('@') ? '--data-raw' : '-d';
  return `curl ${flag} ${quote(event.data)} ${quote(publishURL(event))}`;
}
