// Data as a person reads it: JSON is indented and tinted, anything else is left
// as it is.

const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

export function prettyJSON(text) {
  const out = document.createDocumentFragment();
  if (!/^\s*[[{]/.test(text)) {
    out.append(text);
    return out;
  }
  let indented;
  try {
    indented = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    out.append(text);
    return out;
  }
  let at = 0;
  for (const m of indented.matchAll(token)) {
    out.append(indented.slice(at, m.index));
    const [all, string, colon] = m;
    const span = document.createElement('span');
    span.className = colon ? 'j-name' : string ? 'j-string' : 'j-value';
    span.textContent = colon ? string : all;
    out.append(span, colon ?? '');
    at = m.index + all.length;
  }
  out.append(indented.slice(at));
  return out;
}
