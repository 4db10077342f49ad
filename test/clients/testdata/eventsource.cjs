// Prints what npm's EventSource is told, one JSON object per line.
// Arguments: the directory of node_modules, the address, event types.

const [modules, url, ...types] = process.argv.slice(2);
const { EventSource } = require(`${modules}/eventsource`);

const print = (kind, event) => console.log(JSON.stringify({
  Kind: kind, Type: event.type, Data: event.data ?? '', ID: event.lastEventId ?? '',
}));

const source = new EventSource(url);
source.onopen = (event) => print('open', event);
source.onerror = (event) => print('error', event);
source.onmessage = (event) => print('message', event);
for (const type of types) source.addEventListener(type, (event) => print('event', event));
