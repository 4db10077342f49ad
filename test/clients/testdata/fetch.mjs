// Reads an event stream with fetch, as programs do that send headers of their
// own, and comes back with the last ID. Prints one JSON object per line.
// Argument: the address.

const [url] = process.argv.slice(2);
let lastID = '';
let retry = 3000;

const print = (record) => console.log(JSON.stringify(record));

// event handles one block of lines.
function event(block) {
  const fields = { Kind: 'message', Type: 'message', Data: [], ID: lastID };
  for (const line of block.split('\n')) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === 'event') Object.assign(fields, { Kind: 'event', Type: value });
    if (name === 'data') fields.Data.push(value);
    if (name === 'id') fields.ID = lastID = value;
    if (name === 'retry') retry = Number(value);
  }
  if (fields.Data.length) print({ ...fields, Data: fields.Data.join('\n') });
}

async function connect() {
  const headers = { Accept: 'text/event-stream', ...(lastID && { 'Last-Event-ID': lastID }) };
  const response = await fetch(url, { headers });
  print({ Kind: 'open', Data: `${response.status} ${response.headers.get('content-type')}` });
  let rest = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop();
    blocks.forEach(event);
  }
}

for (;;) {
  try {
    await connect();
    print({ Kind: 'end' });
  } catch (error) {
    print({ Kind: 'error', Data: String(error.cause ?? error) });
  }
  await new Promise((resolve) => setTimeout(resolve, retry));
}
