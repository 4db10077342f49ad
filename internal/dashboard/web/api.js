// The calls of weir's HTTP interface that are not streams.

import { call, send } from './access.js';
import { here, publishURL, query, topicURL } from './address.js';
import { Refused } from './words.js';

// publish resolves to the ID under which the event is kept.
export async function publish({ topic, type, key, data }) {
  // The URL parser would resolve these away and publish to another topic.
  if (topic.split('/').some((s) => s === '.' || s === '..')) {
    throw new Refused({ title: 'Not a topic name', text: 'A level of a topic may not be “.” or “..”.' });
  }
  const response = await call(publishURL({ topic, type, key }), { method: 'POST', body: data });
  return (await response.json()).id;
}

export async function forget(topic) {
  await call(topicURL(topic), { method: 'DELETE' });
}

// kept is the number of events in the topic's history, 0 if it cannot be told.
export async function kept(topic) {
  try {
    const response = await send(topicURL(topic), { method: 'HEAD' });
    return Number(response.headers.get('Weir-Messages')) || 0;
  } catch {
    return 0;
  }
}

export async function version() {
  return (await fetch(here('version'))).json(); // it is for all
}

// currentID asks where the log stands now. EventSource hides the ID a stream
// begins with until an event arrives, a line stream tells it first.
export async function currentID(topics) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 3000);
  try {
    const url = here(`v1/events${query(topics.map((t) => ['topic', t]))}`);
    const response = await send(url, { headers: { Accept: 'application/x-ndjson' }, signal: stop.signal });
    if (!response.ok) return '';
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ''; ;) {
      const { value, done } = await reader.read();
      if (done) return '';
      text += value;
      const end = text.indexOf('\n');
      if (end >= 0) return JSON.parse(text.slice(0, end)).ready?.id ?? '';
    }
  } catch {
    return '';
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

// matches tells whether a watched pattern covers a topic.
export function matches(pattern, topic) {
  const p = pattern.split('/');
  const t = topic.split('/');
  for (let i = 0; i < p.length; i++) {
    if (p[i] === '**') return true;
    if (i >= t.length || (p[i] !== '*' && p[i] !== t[i])) return false;
  }
  return p.length === t.length;
}
