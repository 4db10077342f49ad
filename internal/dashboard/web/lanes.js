// Over HTTP/1.1 a browser opens six connections to one server and lets further
// requests wait. So that publishing never waits behind streams, this page keeps
// at most five open. When one more is asked for, the figures of the machine stop
// for a while (their history is kept, nothing is lost), then the oldest demo.

const entry = performance.getEntriesByType('navigation')[0];
const limit = /^h[23]/.test(entry?.nextHopProtocol ?? '') ? 50 : 5;

const open = new Set(); // in the order they were opened
const patient = new Set(); // owners that come back when there is room

// claim makes room for owner by telling others to evict(). An owner's rank says
// who: 'keep' never leaves; 'yield' makes nobody leave, leaves first, and is told
// to comeBack() when there is room. It reports whether owner may open.
export function claim(owner) {
  open.delete(owner);
  patient.delete(owner);
  if (owner.rank === 'yield' && open.size >= limit) {
    owner.evict();
    patient.add(owner);
    return false;
  }
  while (open.size >= limit) {
    const others = [...open].filter((o) => o.rank !== 'keep');
    const first = others.find((o) => o.rank === 'yield') ?? others[0];
    if (!first) break;
    open.delete(first);
    first.evict();
    if (first.rank === 'yield') patient.add(first);
  }
  open.add(owner);
  return true;
}

export function release(owner) {
  open.delete(owner);
  patient.delete(owner);
  // Later, because the owner may be about to claim again.
  setTimeout(() => {
    if (open.size < limit) [...patient][0]?.comeBack();
  });
}

export const evicted = 'Stopped to leave a connection free: a browser opens only six to one server.';
