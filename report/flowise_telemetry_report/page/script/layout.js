// Places for the nodes of a graph: Fruchterman and Reingold's forces, from a circle, so that they are the same each time.

const ROUNDS = 220;

/** Where a value lies between the least and the largest, 0 to 1. */
function part(values, number) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return most === least ? 0.5 : (values[number] - least) / (most - least);
}

function placed(names, edges) {
  const index = new Map(names.map((name, number) => [name, number]));
  const size = names.length;
  const x = names.map((_, number) => Math.cos((2 * Math.PI * number * 0.618) % (2 * Math.PI)) * (0.4 + number / size));
  const y = names.map((_, number) => Math.sin((2 * Math.PI * number * 0.618) % (2 * Math.PI)) * (0.4 + number / size));
  const links = edges.map(([source, target]) => [index.get(source), index.get(target)]);
  const apart = 1.6 / Math.sqrt(size || 1);
  for (let round = 0; round < ROUNDS; round += 1) {
    const dx = new Float64Array(size);
    const dy = new Float64Array(size);
    for (let a = 0; a < size; a += 1) {
      for (let b = a + 1; b < size; b += 1) {
        const [ux, uy] = [x[a] - x[b], y[a] - y[b]];
        const push = (apart * apart) / Math.max(ux * ux + uy * uy, 1e-4);
        dx[a] += ux * push;
        dy[a] += uy * push;
        dx[b] -= ux * push;
        dy[b] -= uy * push;
      }
      dx[a] -= x[a] * apart * 0.9; // what nothing holds would drift away
      dy[a] -= y[a] * apart * 0.9;
    }
    for (const [a, b] of links) {
      const [ux, uy] = [x[a] - x[b], y[a] - y[b]];
      const pull = Math.hypot(ux, uy) / apart / 3;
      dx[a] -= ux * pull;
      dy[a] -= uy * pull;
      dx[b] += ux * pull;
      dy[b] += uy * pull;
    }
    const step = 0.12 * (1 - round / ROUNDS) + 0.002;
    for (let a = 0; a < size; a += 1) {
      const length = Math.hypot(dx[a], dy[a]) || 1;
      x[a] += (dx[a] / length) * Math.min(length, step);
      y[a] += (dy[a] / length) * Math.min(length, step);
    }
  }
  return new Map(names.map((name, number) => [name, [part(x, number), part(y, number)]]));
}
