// Opens EventSources in a page and records what they tell it.

window.weirTest = {
  sources: [],
  records: [],

  // open returns the number of the new source.
  open(url, types, withCredentials) {
    const records = [];
    const source = new EventSource(url, { withCredentials });
    const note = (kind, event) => records.push({
      Kind: kind,
      Type: event.type,
      Data: event.data ?? '',
      ID: event.lastEventId ?? '',
      At: performance.now(),
      Left: source.readyState,
    });
    source.onopen = (event) => note('open', event);
    source.onerror = (event) => note('error', event);
    source.onmessage = (event) => note('message', event);
    for (const type of types) source.addEventListener(type, (event) => note('event', event));
    this.sources.push(source);
    return this.records.push(records) - 1;
  },

  close(number) {
    this.sources[number].close();
    return true;
  },
};
