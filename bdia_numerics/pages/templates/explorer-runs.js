/* Runs of step programs on numbers: what Python printed is carried out here, operation by operation, in the order in which NumPy does. */
"use strict";
const floats = text => new Float64Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
const kept = new Map();
function once(key, make) {
  if (!kept.has(key)) { if (kept.size > 4000) kept.clear(); kept.set(key, make()); }
  return kept.get(key);
}
const ROUND = {float64: x => x, float32: Math.fround};

/* A grid as rows of one table: t, alpha, sigma at N+1 points, then alpha and sigma inside of the N slots; index 0 is the data end. */
function gridOf(name, n) {
  return once(`grid ${name} ${n}`, () => {
    const all = floats(DATA.grids[name][n]), N = (all.length - 3) / 5;
    const row = (from, size) => all.subarray(from, from + size);
    return {n: N, t: row(0, N + 1), a: row(N + 1, N + 1), s: row(2 * N + 2, N + 1), insideA: row(3 * N + 3, N), insideS: row(4 * N + 3, N)};
  });
}
const reversed = g => ({n: g.n, t: g.t.slice().reverse(), a: g.a.slice().reverse(), s: g.s.slice().reverse(),
  insideA: g.insideA.slice().reverse(), insideS: g.insideS.slice().reverse()});

/* The noise levels that an operation of the slot from t_slot can ask for: three indices from the lowest on, then inside of the slot. */
function levels(grid, lowest, slot) {
  const of = (points, inside) => [points[lowest], points[lowest + 1], points[lowest + 2], inside[slot - 1]];
  return [of(grid.a, grid.insideA), of(grid.s, grid.insideS)];
}
function stage(program, grid, lowest, slot, g, reached) {
  const [a, s] = levels(grid, lowest, slot);
  return {from: program.from, to: program.to, ops: program.of(a, s, g), a, s, reached};
}

/* What a run consists of: the making of its first registers, and one stage a slot. */
function sampling(solver, grid, g, resumed = false) {
  const {depth} = solver, N = grid.n, first = Math.max(depth, 1), found = [];
  if (!resumed) found.push(stage(solver.start, grid, N - first, N - first + 1, g, N - depth));
  for (let i = N - depth; i >= 1; i--) found.push(stage(grid.s[0] === 0 && i === 1 ? solver.last : solver.step, grid, i - 1, i, g, i - 1));
  return found;
}
function undoing(solver, grid, g) {
  const found = [];
  for (let i = 1; i <= grid.n - solver.depth; i++) found.push(stage(solver.inverse, grid, i - 1, i, g, i + solver.depth));
  return found;
}

/* One run of one start: all registers at its end, and the state at each index that it reaches. */
function drive(stages, registers, output, law, round, path) {
  let held = registers, calls = 0;
  for (const {from, to, ops, a, s, reached} of stages) {
    const values = [];
    from.forEach((number, k) => { values[number] = held[k]; });
    for (const [target, what, where] of ops) {
      if (typeof what === "number") { values[target] = round(noise(law, values[what], a[where], s[where])); calls++; continue; }
      let total = round(round(what[0]) * values[where[0]]);
      for (let k = 1; k < what.length; k++) total = round(total + round(round(what[k]) * values[where[k]]));
      values[target] = total;
    }
    held = to.map(number => values[number]);
    if (path) path[reached] = held[output];
  }
  return {held, calls};
}

/* The exact noise prediction of a mixture on the line, in float64 for every state, and its derivative with respect to the state. */
function noise(law, z, alpha, sigma) { return -sigma * score(law, z, alpha, sigma); }
function responsibilities(law, z, alpha, sigma) {
  const centred = z - alpha * law.centre, K = law.means.length, d = [], inverse = [], r = [];
  let top = -Infinity, total = 0;
  for (let k = 0; k < K; k++) {
    const v = alpha * alpha * law.covs[k] + sigma * sigma;
    d[k] = alpha * law.means[k] - centred; inverse[k] = 1 / v;
    r[k] = d[k] * d[k] * (-inverse[k] / 2) + (law.logWeights[k] - Math.log(v) / 2);
    top = Math.max(top, r[k]);
  }
  for (let k = 0; k < K; k++) total += r[k] = Math.exp(Math.max(r[k] - top, -600));
  return {d, inverse, r: r.map(x => x / total), top};
}
function score(law, z, alpha, sigma) {
  const {d, inverse, r} = responsibilities(law, z, alpha, sigma);
  let sum = 0;
  for (let k = 0; k < d.length; k++) sum += d[k] * (r[k] * inverse[k]);
  return sum;
}
function slope(law, z, alpha, sigma) {
  const {d, inverse, r} = responsibilities(law, z, alpha, sigma);
  let first = 0, second = 0;
  d.forEach((x, k) => { const pull = x * inverse[k]; first += r[k] * pull; second += r[k] * (pull * pull - inverse[k]); });
  return -sigma * (second - first * first);
}
const density = (law, z, alpha, sigma) => {
  const {r, top} = responsibilities(law, z, alpha, sigma), most = Math.max(...r);
  return Math.exp(top) / most / Math.sqrt(2 * Math.PI);
};

/* The exact flow on the line keeps the distribution function: both tails as sums of positive terms, and the root by Newton within a bracket. */
function erfc(x) {
  if (x < 0) return 2 - erfc(-x);
  if (x < 1.5) { let term = x, sum = x; for (let n = 1; sum + term !== sum; n++) { term *= 2 * x * x / (2 * n + 1); sum += term; } return 1 - 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum; }
  let c = x; for (let n = 120; n >= 1; n--) c = x + n / 2 / c;
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / c;
}
function tails(law, z, alpha, sigma) {
  let below = 0, above = 0, height = 0;
  law.covs.forEach((cov, k) => {
    const deviation = Math.sqrt(alpha * alpha * cov + sigma * sigma), x = (z - alpha * (law.means[k] + law.centre)) / deviation, w = law.weights[k];
    below += w * erfc(-x / Math.SQRT2) / 2; above += w * erfc(x / Math.SQRT2) / 2; height += w * Math.exp(-x * x / 2) / deviation / Math.sqrt(2 * Math.PI);
  });
  return {below, above, height};
}
function quantile(law, {below, above}, alpha, sigma) {
  const lower = below < above, wanted = lower ? below : above;
  let low = Infinity, high = -Infinity;
  law.covs.forEach((cov, k) => {
    const centre = alpha * (law.means[k] + law.centre), reach = 12 * Math.sqrt(alpha * alpha * cov + sigma * sigma);
    low = Math.min(low, centre - reach); high = Math.max(high, centre + reach);
  });
  let z = (low + high) / 2;
  for (let n = 0; n < 200; n++) {
    const here = tails(law, z, alpha, sigma), miss = lower ? here.below - wanted : wanted - here.above;
    if (miss === 0) return z;
    if (miss < 0) low = z; else high = z;
    let next = z - miss / here.height;
    if (!(next > low && next < high)) next = (low + high) / 2;
    if (Math.abs(next - z) <= 1e-16 * (Math.abs(z) + 1e-300) || next === z) return next;
    z = next;
  }
  return z;
}
const transport = (law, z, from, to) => quantile(law, tails(law, z, ...from), ...to);
const ends = grid => [[grid.a[0], grid.s[0]], [grid.a[grid.n], grid.s[grid.n]]];

/* Equally likely starts, at both ends of the exact flow: pairs of the state at the data end and at the noise end. */
function pairs(dist, gridName, n) {
  return once(`pairs ${dist} ${gridName} ${n}`, () => {
    const law = DATA.laws[dist], [data, far] = ends(gridOf(gridName, n));
    return DATA.levels.map(u => { const at = {below: u, above: 1 - u}; return [quantile(law, at, ...data), quantile(law, at, ...far)]; });
  });
}

/* What is run for a choice {solver, g, grid, n, dist, dtype}: there and back from either end. */
function course({solver, g, grid, n}) {
  return once(`course ${solver} ${g} ${grid} ${n}`, () => {
    const own = DATA.solvers[solver], levelsOf = gridOf(grid, n), finite = stages => stages.every(x => x.ops.every(op => typeof op[1] === "number" || op[1].every(Number.isFinite)));
    const found = {own, grid: levelsOf, sample: sampling(own, levelsOf, g), resume: sampling(own, levelsOf, g, true)};
    if (own.inverse) {
      found.undo = undoing(own, levelsOf, g);
      found.encode = [stage(own.data, levelsOf, 0, 1, g, own.depth), ...found.undo];
    } else {
      const back = own.reversed;
      found.encode = sampling(back, reversed(levelsOf), g).map(x => ({...x, reached: levelsOf.n - x.reached}));
    }
    found.refused = finite(found.encode) ? "" : own.inverse ? `no inverse: it needs ${own.condition}` : "it divides by σ = 0 at the data end";
    return found;
  });
}
function forward(choice, z, path) {
  const c = course(choice), round = ROUND[choice.dtype], start = round(z);
  if (path) path[c.grid.n] = start;
  const {held, calls} = drive(c.sample, [start], c.own.output, DATA.laws[choice.dist], round, path);
  return {state: held[c.own.output], held, calls};
}
function backward(choice, x, path) {
  const c = course(choice), round = ROUND[choice.dtype], start = round(x), far = c.own.inverse ? c.own.far : c.own.reversed.output;
  if (c.refused) return {state: NaN, held: [], calls: 0};
  if (path) path[0] = start;
  const {held, calls} = drive(c.encode, [start], far, DATA.laws[choice.dist], round, path);
  return {state: held[far], held, calls};
}
function back(choice, there, end) {
  const c = course(choice), round = ROUND[choice.dtype], law = DATA.laws[choice.dist];
  if (end === "data") {
    if (c.refused) return NaN;
    const whole = c.own.inverse || c.own.registers === 1;
    return whole ? drive(c.resume, there.held, c.own.output, law, round).held[c.own.output] : forward(choice, there.state).state;
  }
  if (c.own.inverse && !c.refused) return drive(c.undo, there.held, c.own.far, law, round).held[c.own.far];
  return c.own.inverse ? NaN : backward(choice, there.state).state;
}

/* Root mean squares over the starts: the error of the far end, and of what comes back; `end` is where the run begins. */
function errors(choice, end) {
  const {solver, g, grid, n, dist, dtype} = choice;
  return once(`errors ${end} ${solver} ${g} ${grid} ${n} ${dist} ${dtype}`, () => {
    let far = 0, returned = 0, calls = 0;
    const all = pairs(dist, grid, n);
    for (const [x, z] of all) {
      const [from, to] = end === "data" ? [x, z] : [z, x], there = (end === "data" ? backward : forward)(choice, from);
      far += (there.state - to) ** 2; returned += (back(choice, there, end) - ROUND[dtype](from)) ** 2; calls = there.calls;
    }
    return {far: Math.sqrt(far / all.length), returned: Math.sqrt(returned / all.length), calls};
  });
}
function farError(choice, end) {  // without the way back
  const {solver, g, grid, n, dist, dtype} = choice;
  return once(`far ${end} ${solver} ${g} ${grid} ${n} ${dist} ${dtype}`, () => {
    const all = pairs(dist, grid, n), run = end === "data" ? backward : forward;
    return Math.sqrt(all.reduce((sum, [x, z]) => sum + (end === "data" ? run(choice, x).state - z : run(choice, z).state - x) ** 2, 0) / all.length);
  });
}

/* Roots of the stability polynomial, rows of powers of the root and columns of powers of x = h J; at most quadratic. */
const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
const over = ([a, b], [c, d]) => { const m = c * c + d * d; return [(a * c + b * d) / m, (b * c - a * d) / m]; };
const root = ([a, b]) => { const m = Math.hypot(a, b), u = Math.sqrt((m + Math.abs(a)) / 2); if (!u) return [0, 0]; const v = Math.abs(b) / 2 / u; return a >= 0 ? [u, b < 0 ? -v : v] : [v, b < 0 ? -u : u]; };
function roots(rows, x) {
  const [c, b, a] = rows.map(row => row.reduceRight((sum, k) => { const [re, im] = times(sum, x); return [re + k, im]; }, [0, 0]));
  if (!a) return [over([-c[0], -c[1]], b)];
  const d = times(b, b), e = times(a, c), w = root([d[0] - 4 * e[0], d[1] - 4 * e[1]]);
  const sign = b[0] * w[0] + b[1] * w[1] >= 0 ? 1 : -1, q = [-(b[0] + sign * w[0]) / 2, -(b[1] + sign * w[1]) / 2];
  if (!q[0] && !q[1]) return [[0, 0], [0, 0]];
  return [over(q, a), over(c, q)];
}
