// How far one engine's next-token distributions are from another's. Rows are logits, one for each
// position.

function logSoftmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const log = most + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0));
  return logits.map((x) => x - log);
}

const best = (row) => row.indexOf(row.reduce((a, b) => Math.max(a, b)));

/**
 * `largest`: difference of two log probabilities of one token, in nats; `divergence`: the mean over
 * positions of KL(from || to), in nats; `agreed`: the share of positions with the same best token.
 */
export function distance(from, to) {
  let largest = 0;
  let divergence = 0;
  let agreed = 0;
  for (const [i, row] of from.entries()) {
    if (row.length !== to[i].length) throw new Error(`${row.length} and ${to[i].length} logits`);
    const p = logSoftmax(row);
    const q = logSoftmax(to[i]);
    for (let t = 0; t < p.length; t++) {
      largest = Math.max(largest, Math.abs(p[t] - q[t]));
      divergence += Math.exp(p[t]) * (p[t] - q[t]);
    }
    if (best(p) === best(q)) agreed++;
  }
  return { largest, divergence: divergence / from.length, agreed: agreed / from.length };
}
