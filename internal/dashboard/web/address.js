// The addresses of weir's HTTP interface. All are relative to the page, so that it
// also works below a path prefix of a proxy.

export const here = (path) => new URL(path, document.baseURI).href;

// topicPath escapes each segment and keeps the slashes.
export const topicPath = (topic) => topic.split('/').map(encodeURIComponent).join('/');

export const topicURL = (topic) => here(`v1/topics/${topicPath(topic)}`);

// queryValue keeps / and * readable: both are legal in a query.
const queryValue = (text) => encodeURIComponent(text).replaceAll('%2F', '/');

export function query(pairs) {
  const list = pairs.filter(([, v]) => v !== '' && v != null).map(([k, v]) => `${k}=${queryValue(v)}`);
  return list.length ? `?${list.join('&')}` : '';
}

// eventsURL is a subscription to several topics, each event in an envelope.
export function eventsURL(topics, extra = []) {
  return here(`v1/events${query([...topics.map((t) => ['topic', t]), ['envelope', 'true'], ...extra])}`);
}

export function publishURL({ topic, type, key }) {
  return topicURL(topic) + query([['type', type], ['key', key]]);
}
