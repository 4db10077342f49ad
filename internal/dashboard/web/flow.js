// Counts the events this page receives, for the drawing at its top.

const drops = new EventTarget();

export function drop(n = 1) {
  drops.dispatchEvent(new CustomEvent('drop', { detail: n }));
}

export function onDrop(fn) {
  drops.addEventListener('drop', (event) => fn(event.detail));
}

// A Meter gives the number of events per second over the last few seconds.
export class Meter {
  #buckets = []; // [second, count], oldest first

  add(n = 1, now = performance.now()) {
    const second = Math.floor(now / 1000);
    const last = this.#buckets.at(-1);
    if (last?.[0] === second) last[1] += n;
    else this.#buckets.push([second, n]);
    while (this.#buckets[0][0] < second - 5) this.#buckets.shift();
  }

  // rate looks at the three whole seconds before this one.
  rate(now = performance.now()) {
    const second = Math.floor(now / 1000);
    let sum = 0;
    for (const [s, n] of this.#buckets) if (s < second && s >= second - 3) sum += n;
    return sum / 3;
  }
}
