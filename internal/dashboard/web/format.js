// Numbers, sizes and times as the page shows them.

const pad = (n, width = 2) => String(n).padStart(width, '0');

// clock gives local time: 15:04:05.678, or 15:04:05 without milliseconds.
export function clock(date, milliseconds = true) {
  if (Number.isNaN(date.getTime())) return '';
  const text = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return milliseconds ? `${text}.${pad(date.getMilliseconds(), 3)}` : text;
}

export function count(n) {
  return Math.round(n).toLocaleString('en-US');
}

// rate keeps one decimal below ten, none above.
export function rate(n) {
  if (n === 0) return '0';
  return n < 9.95 ? n.toFixed(1) : count(n);
}

export function percent(n) {
  return `${n.toFixed(n < 9.95 ? 1 : 0)} %`;
}

// bytes uses powers of 1024: 38.2 MiB.
export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${n.toFixed(i === 0 || n >= 99.95 ? 0 : n < 9.95 ? 2 : 1)} ${units[i]}`;
}

export function seconds(ms) {
  return `${Math.max(0, ms / 1000).toFixed(1)} s`;
}

export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}
