/* Controls, the address, and panels drawn as SVG from what explorer-runs.js computes. */
"use strict";
const $ = id => document.getElementById(id);
const START = {a: "ddim", ga: 1, b: "bdia", gb: 1, grid: "leading", n: 10, dist: "tight", dir: "sample", dtype: "float64", x: -0.2};
const REACH = 3.2;  // of the states that are shown
const LARGEST = 1e3;  // of the errors that are shown
let state = {...START};

/* The address: what is not known there is left as it was at the start, and listed among what is refused. */
const among = table => key => Object.hasOwn(table, key);
const ALLOWED = {a: among(DATA.solvers), b: among(DATA.solvers), grid: among(DATA.grids), dist: among(DATA.laws), dir: k => ["sample", "encode"].includes(k),
  dtype: among(ROUND), n: k => DATA.steps.includes(k), ga: k => k >= 0 && k <= 1, gb: k => k >= 0 && k <= 1, x: k => Math.abs(k) <= REACH};
function read(text, refused = []) {
  const found = {...START};
  for (const [key, value] of new URLSearchParams(DATA.presets[text] || text)) {
    const typed = typeof START[key] !== "number" ? value : value.trim() ? Number(value) : NaN;
    if (Object.hasOwn(ALLOWED, key) && ALLOWED[key](typed)) found[key] = typed; else refused.push(value ? `${key}=${value}` : key);
  }
  return found;
}
const written = () => "#" + new URLSearchParams(Object.entries(state)).toString();

/* Numbers in words of a few digits. */
const raised = k => String(k).replace(/./g, c => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
function short(x, digits = 2) {
  if (!Number.isFinite(x)) return "not finite";
  if (x === 0) return "0";
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  return +power >= -3 && +power < 4 ? (+x.toPrecision(digits)).toString().replace("-", "−") : `${mantissa.replace("-", "−")}·10${raised(+power)}`;
}

/* The two solvers that are chosen, with their looks. */
const DASHES = {"-": "", "--": "7 4", ":": "2 3", "-.": "8 3 2 3"};
function chosen() {
  return [["a", "ga"], ["b", "gb"]].map(([key, parameter]) => {
    const own = DATA.solvers[state[key]], look = key === "b" && state.a === state.b ? DATA.again : own, g = state[parameter];
    const label = own.parameter ? `${own.name}, ${own.parameter} = ${g}` : own.name;
    return {key, own, label, g, colour: look.color, dash: DASHES[look.linestyle], marker: look.marker,
      run: (change = {}) => ({solver: state[key], g: own.parameter ? g : 1, grid: state.grid, n: state.n, dist: state.dist, dtype: state.dtype, ...change})};
  });
}
const SHAPES = {o: "M4 0A4 4 0 1 1 -4 0A4 4 0 1 1 4 0Z", "^": "M0 -5L5 4H-5Z", s: "M-4 -4H4V4H-4Z", D: "M0 -5L5 0L0 5L-5 0Z", v: "M0 5L5 -4H-5Z", P: "M-2 -5H2V-2H5V2H2V5H-2V2H-5V-2H-2Z", X: "M-4 -4L4 4M4 -4L-4 4",
  "<": "M-5 0L4 -5V5Z", ">": "M5 0L-4 -5V5Z", "*": "M0 -6L1.5 -2H5.5L2.4 .6L3.5 5L0 2.4L-3.5 5L-2.4 .6L-5.5 -2H-1.5Z", h: "M0 -5L4.3 -2.5V2.5L0 5L-4.3 2.5V-2.5Z",
  p: "M0 -5L4.8 -1.5L2.9 4H-2.9L-4.8 -1.5Z", d: "M0 -5.5L3 0L0 5.5L-3 0Z", "8": "M-2 -5H2L5 -2V2L2 5H-2L-5 2V-2Z"};
const mark = (who, x, y, more = "", size = 1) => {  // the second one's are open and larger, so that the first one's are seen below
  const open = who.key === "b";
  return `<path d="${SHAPES[who.marker]}" transform="translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${open ? 1.3 * size : size})" fill="${open ? "none" : who.colour}" stroke="${who.colour}" stroke-width="${open ? 1.3 : 1}" ${more}/>`;
};
const keyOf = who => `<span class="key"><svg viewBox="0 0 34 12"><path d="M0 6H34" stroke="${who.colour}" stroke-width="2" stroke-dasharray="${who.dash}"/>${mark(who, 17, 6)}</svg> ${who.label}</span>`;
const keys = () => chosen().map(keyOf).join("");
const muted = text => `<br><span class="muted">${text}</span>`;

/* A pair of axes in an SVG of its own width: scales, ticks and labels. */
function axes(svg, {x, y, xlabel, ylabel, title = "", left = ylabel ? 66 : 52, equal = false}) {
  const W = svg.clientWidth || 600, top = title ? 24 : 8;
  if (equal) svg.setAttribute("height", top + 42 + (W - left - 10) * (y[1] - y[0]) / (x[1] - x[0]));
  const H = svg.height.baseVal.value, box = {l: left, r: W - 10, t: top, b: H - 42};
  const scale = ([low, high, kind], from, to) => { const f = {log: Math.log10, root: v => Math.sqrt(v + 1)}[kind] || (v => v); return v => from + (to - from) * (f(v) - f(low)) / (f(high) - f(low)); };
  const sx = scale(x, box.l, box.r), sy = scale(y, box.b, box.t), parts = [];
  const wide = Math.max(2, Math.floor((box.r - box.l) / (equal ? 30 : 55))), high = Math.max(2, Math.floor((box.b - box.t) / 34));
  for (const [v, text] of ticks(x, wide)) parts.push(`<path class="rule" d="M${sx(v)} ${box.t}V${box.b}"/><text x="${sx(v)}" y="${box.b + 15}" text-anchor="middle">${text}</text>`);
  for (const [v, text] of ticks(y, high)) parts.push(`<path class="rule" d="M${box.l} ${sy(v)}H${box.r}"/><text x="${box.l - 6}" y="${sy(v) + 4}" text-anchor="end">${text}</text>`);
  parts.push(`<path class="axis" d="M${box.l} ${box.t}V${box.b}H${box.r}"/><text x="${(box.l + box.r) / 2}" y="${H - 6}" text-anchor="middle">${xlabel}</text>`);
  if (ylabel) parts.push(`<text transform="translate(11 ${(box.t + box.b) / 2}) rotate(-90)" text-anchor="middle">${ylabel}</text>`);
  if (title) parts.push(`<text class="title" x="${box.l}" y="14">${title}</text>`);
  return {sx, sy, box, W, H, parts, x, y};
}
function ticks([low, high, kind], most) {
  if (kind === "log") {
    const from = Math.ceil(Math.log10(low) - 1e-9), to = Math.floor(Math.log10(high) + 1e-9), found = [];
    if (to - from < 2) {
      for (let k = from - 1; k <= to; k++) for (const m of [1, 2, 5]) { const v = m * 10 ** k; if (v >= low * 0.999 && v <= high * 1.001) found.push([v, v >= 0.001 ? `${+v.toPrecision(1)}` : `${m === 1 ? "" : `${m}·`}10${raised(k)}`]); }
      return found;
    }
    const step = Math.ceil((to - from + 1) / most);
    for (let k = to; k >= from; k -= step) found.push([10 ** k, k >= -2 && k < 3 ? `${+(10 ** k).toPrecision(1)}` : `10${raised(k)}`]);
    return found;
  }
  if (kind === "root") return (most < 8 ? [0, 100, 400, 1000] : [0, 20, 50, 100, 200, 300, 400, 500, 600, 800, 1000]).map(v => [v, v]);
  const span = Math.abs(high - low), raw = span / most, unit = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(m => m * unit).find(s => s >= raw), found = [];
  for (let k = Math.ceil(Math.min(low, high) / step - 1e-9); k * step <= Math.max(low, high) + 1e-9 * span; k++) found.push([k * step, `${+(k * step).toPrecision(6)}`.replace("-", "−")]);
  return found;
}
const range = values => {
  const good = values.filter(v => v > 0 && v <= LARGEST);
  if (!good.length) return [1e-3, 1, "log"];
  const low = Math.min(...good) / 1.4, high = Math.min(Math.max(...good) * 1.4, LARGEST);
  return high / low < 12 ? [Math.sqrt(low * high / 12), Math.sqrt(low * high * 12), "log"] : [low, high, "log"];
};

/* A curve over logarithmic errors: a cross at the upper edge where a value is too large, or not a number, unless none is a number. */
const none = points => points.every(p => Number.isNaN(p[1]));
const crosses = all => all.some(({points}) => !none(points) && points.some(p => !(p[1] <= LARGEST))) ? `Crosses at the upper edge: errors above ${LARGEST}, or not finite.` : "";
function curve(at, who, points, marks) {
  let d = "", gap = true, drawn = "";
  if (none(points)) return "";
  for (const [x, y] of points) {
    const px = at.sx(x);
    if (!(y <= LARGEST)) { drawn += `<path d="M${px - 4} ${at.box.t - 1}l8 8m0 -8l-8 8" stroke="${who.colour}" stroke-width="1.5"/>`; gap = true; continue; }
    if (y === 0) { gap = true; continue; }
    d += `${gap ? "M" : "L"}${px.toFixed(1)} ${at.sy(y).toFixed(1)}`; gap = false;
    if (marks) drawn += mark(who, px, at.sy(y));
  }
  return `<path d="${d}" fill="none" stroke="${who.colour}" stroke-width="2" stroke-dasharray="${who.dash}"/>${drawn}`;
}
const say = (id, html, heading) => { $(id).querySelector("figcaption").innerHTML = html; if (heading) $(id).querySelector("h2").textContent = heading; };
const END = () => state.dir === "sample" ? "noise" : "data";

/* Panel 1: the density, exact paths, and both trajectories from the start under the hand. */
const shades = () => once(`shades ${state.dist}`, () => {
  const fine = gridOf("trailing", 200), law = DATA.laws[state.dist], rows = 128, columns = 200, canvas = document.createElement("canvas");
  canvas.width = columns; canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  for (let k = 0; k < columns; k++) {
    const t = 1000 * ((columns - k - 0.5) / columns) ** 2 - 1, i = fine.t.findIndex(v => v >= t), column = Array.from({length: rows}, (_, r) => density(law, REACH - (r + 0.5) / rows * 2 * REACH, fine.a[i], fine.s[i])), top = Math.max(...column);
    column.forEach((v, r) => { const p = 4 * (r * columns + k), w = 0.75 * v / top; image.data[p] = 255 - 205 * w; image.data[p + 1] = 255 - 140 * w; image.data[p + 2] = 255 - 60 * w; image.data[p + 3] = 255; });
  }
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
});
const exactPaths = () => once(`exact ${state.dist}`, () => {
  const fine = gridOf("trailing", 200), law = DATA.laws[state.dist], found = [];
  for (let k = 0; k < DATA.levels.length; k++) { const u = DATA.levels[k], path = []; for (let i = 0; i <= fine.n; i += 4) path.push([fine.t[i], quantile(law, {below: u, above: 1 - u}, fine.a[i], fine.s[i])]); found.push(path); }
  return found;
});
let frame = null;  // the axes of panel 1, for the pointer
function paths() {
  const svg = $("paths").querySelector(":scope > svg"), grid = gridOf(state.grid, state.n), law = DATA.laws[state.dist], narrow = svg.clientWidth < 500;
  const at = frame = axes(svg, {x: [1000, -1, "root"], y: [-REACH, REACH], xlabel: narrow ? "time t: from noise to data" : "time t in training steps, from noise to data; its square root is drawn, so that the last slots show", ylabel: "state z"});
  const clip = points => points.map(([t, z], k) => `${k ? "L" : "M"}${at.sx(t).toFixed(1)} ${at.sy(Math.max(-9, Math.min(9, z))).toFixed(1)}`).join("");
  const drawn = [`<defs><clipPath id="inside"><rect x="${at.box.l}" y="${at.box.t}" width="${at.box.r - at.box.l + 8}" height="${at.box.b - at.box.t}"/></clipPath></defs>`,
    `<image href="${shades()}" x="${at.sx(999)}" y="${at.box.t}" width="${at.box.r - at.sx(999)}" height="${at.box.b - at.box.t}" preserveAspectRatio="none"/>`, ...at.parts, `<g clip-path="url(#inside)">`];
  for (const path of exactPaths()) drawn.push(`<path d="${clip(path)}" fill="none" stroke="#fff" stroke-opacity=".8"/>`);
  const sampled = state.dir === "sample", from = sampled ? grid.n : 0, begin = [grid.a[from], grid.s[from]], there = tails(law, state.x, ...begin);
  const fine = gridOf("trailing", 200), exact = [];
  for (let i = 0; i <= fine.n; i += 2) if (fine.t[i] > grid.t[0] && fine.t[i] < grid.t[grid.n]) exact.push([fine.t[i], quantile(law, there, fine.a[i], fine.s[i])]);
  const near = quantile(law, there, ...ends(grid)[0]), far = quantile(law, there, ...ends(grid)[1]), truth = sampled ? near : far;
  drawn.push(`<path d="${clip([[grid.t[0], near], ...exact, [grid.t[grid.n], far]])}" fill="none" stroke="#444" stroke-width="1.5"/>`);
  const said = [];
  for (const who of chosen()) {
    const path = [], {state: end} = (sampled ? forward : backward)(who.run(), state.x, path), refused = sampled ? "" : course(who.run()).refused;
    const points = path.map((z, i) => [grid.t[i], z]).filter(p => p && Number.isFinite(p[1]));
    drawn.push(`<path d="${clip(points)}" fill="none" stroke="${who.colour}" stroke-width="2.2" stroke-dasharray="${who.dash}"/>`);
    if (points.length <= 42) for (const [t, z] of points) if (Math.abs(z) <= 1.05 * REACH) drawn.push(mark(who, at.sx(t), at.sy(z), `class="point"`));
    said.push(`${keyOf(who)}${refused ? `cannot encode: ${refused}` : `${sampled ? "x" : "z"} = ${short(end, 4)}, error ${short(Math.abs(end - truth))}`}`);
  }
  svg.querySelector(".drawn").innerHTML = drawn.join("") + "</g>";
  const handle = svg.querySelector(".handle");
  handle.setAttribute("transform", `translate(${at.sx(grid.t[from])} ${at.sy(state.x)})`);
  for (const [name, value] of Object.entries({valuemin: -REACH, valuemax: REACH, valuenow: state.x, valuetext: `start at ${state.x}`})) handle.setAttribute(`aria-${name}`, value);
  say("paths", said.join("<br>") + muted(`Exact solution (grey line): ${short(truth, 4)}. Drag the red circle, or use the arrow keys on it.
    Shaded: the density, darkest where it is highest at that time. White: exact solutions of the ${DATA.levels.length} starts.`),
    sampled ? `Sampling from z = ${short(state.x, 3)} over the density` : `Encoding x = ${short(state.x, 3)} over the density`);
}

/* Panels 2 and 4: errors against the number of steps. */
function against(svg, title, ylabel, value) {
  const all = chosen().map(who => ({who, points: DATA.steps.map(n => [n, value(who.run({n}))])}));
  const at = axes(svg, {x: [DATA.steps[0] * 0.93, DATA.steps.at(-1) * 1.07, "log"], y: range(all.flatMap(c => c.points.map(p => p[1]))), xlabel: "steps N", ylabel, title});
  at.parts.push(`<path class="zero" stroke-dasharray="3 3" d="M${at.sx(state.n)} ${at.box.t}V${at.box.b}"/>`);
  for (const {who, points} of all) at.parts.push(curve(at, who, points, true));
  svg.innerHTML = at.parts.join("");
  return crosses(all);
}
const farWord = () => state.dir === "sample" ? "sample error" : "latent error";
function steps() {
  const note = against($("steps").querySelector(":scope > svg"), "", farWord(), choice => farError(choice, END()));
  say("steps", keys() + muted(`Dashed line: the chosen N. Where the order is p, twice the steps have 1/2<sup>p</sup> of the error. ${note}`), `Error against N: the ${farWord()}`);
}
function trips() {
  const [first, second] = $("trips").querySelectorAll(".plots > svg"), notes = [];
  const found = [[first, "return error", "returned"], [second, "latent error", "far"]].map(([svg, title, which]) => against(svg, title, "", choice => errors(choice, "data")[which]));
  for (const who of chosen()) {
    const c = course(who.run());
    notes.push(`${keyOf(who)}${c.refused ? `cannot encode: ${c.refused}` : `${who.own.inverse ? "derived inverse" : who.own.inversion}; at N = ${state.n} it returns to ${short(errors(who.run(), "data").returned)}, and its latent is ${short(errors(who.run(), "data").far)} from the true one`}`);
  }
  say("trips", notes.join("<br>") + muted(found[0] || found[1]));
}

/* Panel 3: error against gamma or p, the best of each ringed. */
const GAMMAS = Array.from({length: 41}, (_, k) => k / 40);
function gammas() {
  const svg = $("gammas").querySelector(":scope > svg"), said = [];
  const all = chosen().map(who => ({who, points: who.own.parameter ? GAMMAS.map(g => [g, farError(who.run({g}), END())]) : [0, 1].map(g => [g, farError(who.run(), END())])}));
  const of = [...new Set(all.map(c => c.who.own.parameter))].filter(Boolean).join(" or ");
  const at = axes(svg, {x: [0, 1], y: range(all.flatMap(c => c.points.map(p => p[1]))), xlabel: of || "no parameter", ylabel: farWord()});
  for (const {who, points} of all) {
    at.parts.push(curve(at, who, points, false));
    if (!who.own.parameter) { said.push(keyOf(who)); continue; }
    const good = points.filter(p => p[1] > 0 && p[1] <= LARGEST), best = good.length ? good.reduce((p, q) => q[1] < p[1] ? q : p) : null, now = farError(who.run(), END());
    if (now > 0 && now <= LARGEST) at.parts.push(mark(who, at.sx(who.g), at.sy(now)));
    if (best) at.parts.push(`<circle class="best" data-best="${best[0]}" cx="${at.sx(best[0])}" cy="${at.sy(best[1])}" r="9" fill="none" stroke="#b00020" stroke-width="2.5"/>`);
    said.push(`${keyOf(who)}${best ? `best ${who.own.parameter} = ${best[0]} (ring)` : "every error is too large"}`);
  }
  svg.innerHTML = at.parts.join("");
  say("gammas", said.join("<br>") + muted(crosses(all)), `Error against ${of || "the parameter"} at N = ${state.n}: the ${farWord()}`);
}

/* Panel 5: where solutions of dy/ds = J y stay bounded, and the roots at the slots' h J, for the step and for what goes back. */
const rowsOf = (who, way) => way === "sample" ? [who.own.sample(who.g), 1] : who.own.invert ? [who.own.invert(who.g), 1] : [who.own.reversed.sample(who.g), -1];
/* The roots other than that which follows the solution: exp(hJ) for the step, and its reciprocal for what goes back. */
function parasites(who, way, x) {
  const [rows, sign] = rowsOf(who, way), own = Math.exp(way === "sample" ? x : -x), off = ([re, im]) => Math.hypot(re - own, im);
  return roots(rows, [sign * x, 0]).sort((p, q) => off(p) - off(q)).slice(1).map(r => Math.hypot(...r));
}
const largest = ([rows, sign], x) => Math.max(...roots(rows, [sign * x[0], sign * x[1]]).map(r => Math.hypot(...r)));
const region = (who, way, plane) => once(`region ${who.own.name} ${who.g} ${way} ${plane.x}`, () => {
  const C = 96, found = [], polynomial = rowsOf(who, way), [[x0, x1], [y0, y1]] = [plane.x, plane.y], dx = (x1 - x0) / C, dy = (y1 - y0) / C;
  for (let j = 0; j <= C; j++) for (let i = 0, from = -1; i <= C + 1; i++) {
    const inside = i <= C && largest(polynomial, [x0 + i * dx, y0 + j * dy]) <= 1 + 1e-6;
    if (inside && from < 0) from = i;
    if (!inside && from >= 0) { found.push([x0 + (from - 0.5) * dx, x0 + (i - 0.5) * dx, y0 + (j - 0.5) * dy, y0 + (j + 0.5) * dy]); from = -1; }
  }
  return found;
});
function slots(who) {
  const grid = gridOf(state.grid, state.n), law = DATA.laws[state.dist], path = [];
  (state.dir === "sample" ? forward : backward)(who.run(), state.x, path);
  return Array.from({length: grid.n}, (_, k) => { const i = k + 1; return (grid.s[k] / grid.a[k] - grid.s[i] / grid.a[i]) * grid.a[i] * slope(law, path[i], grid.a[i], grid.s[i]); }).filter(Number.isFinite);
}
function stability() {
  const svgs = $("stability").querySelectorAll(".plots > svg"), both = chosen(), dots = both.map(slots), farthest = Math.max(...dots.flat().map(Math.abs));
  const half = [0.25, 0.5, 1].find(size => farthest <= 0.5 * size) || 2, view = {x: [-1.5 * half, half / 2], y: [-half, half]};
  ["sample", "invert"].forEach((way, column) => {
    const names = {sample: "step", invert: "inverse"}, plane = axes(svgs[column], {...view, xlabel: "Re hJ, upwards Im hJ", ylabel: "", title: `${names[way]}: region`, left: 42, equal: true});
    const circle = axes(svgs[column + 2], {x: [-2, 2], y: [-2, 2], xlabel: "Re ζ, upwards Im ζ", ylabel: "", title: `${names[way]}: roots`, left: 42, equal: true});
    plane.parts.push(`<path class="zero" d="M${plane.sx(0)} ${plane.box.t}V${plane.box.b}M${plane.box.l} ${plane.sy(0)}H${plane.box.r}"/>`);
    circle.parts.push(`<circle class="zero" cx="${circle.sx(0)}" cy="${circle.sy(0)}" r="${circle.sx(1) - circle.sx(0)}"/>`);
    both.forEach((who, k) => {
      const keep = (v, [low, high], s) => s(Math.max(low, Math.min(high, v)));
      const d = region(who, way, view).map(([a, b, c, e]) => { const l = keep(a, view.x, plane.sx), r = keep(b, view.x, plane.sx), t = keep(e, view.y, plane.sy), u = keep(c, view.y, plane.sy); return `M${l} ${t}H${r}V${u}H${l}Z`; }).join("");
      plane.parts.push(`<path class="region" d="${d}" fill="${who.colour}" fill-opacity=".28"/>`);
      const size = dots[k].length > 20 ? 0.6 : 1;
      for (const x of dots[k]) {
        if (x >= view.x[0] && x <= view.x[1]) plane.parts.push(mark(who, plane.sx(x), plane.sy(0) + (k ? 7 : -7), "", size));
        const [rows, sign] = rowsOf(who, way);
        for (const [re, im] of roots(rows, [sign * x, 0])) if (Math.abs(re) <= 2 && Math.abs(im) <= 2) circle.parts.push(mark(who, circle.sx(re), circle.sy(im), "", size));
      }
    });
    svgs[column].innerHTML = plane.parts.join(""); svgs[column + 2].innerHTML = circle.parts.join("");
  });
  const missing = both.filter(who => !who.own.inverse).map(who => `${who.own.name} has no exact inverse; in its place: ${who.own.inversion}.`).join(" ");
  const said = (who, k) => {
    if (!dots[k].length) return "no path above";
    const [step, inverse] = ["sample", "invert"].map(way => dots[k].flatMap(x => parasites(who, way, x))), span = found => `${short(Math.min(...found), 3)} to ${short(Math.max(...found), 3)}`;
    return step.length ? `modulus of the parasitic root: ${span(step)} for the step, ${span(inverse)} for the inverse` : "only the root that follows the solution";
  };
  say("stability", both.map((who, k) => `${keyOf(who)}${said(who, k)}`).join("<br>")
    + muted(`Test equation dy/ds = Jy with y = z/α, s = σ/α and equal steps h. Regions: shaded where its numerical solutions stay bounded; markers are hJ of each slot along the path above, beside the real axis.
    Roots: ζ at these hJ, by which a solution grows in a step, those beyond 2 left out; the root that is not near e<sup>hJ</sup> (1/e<sup>hJ</sup> for the inverse) is parasitic. ${missing}`));
}

/* Controls. */
function show() {
  for (const [key, value] of Object.entries(state)) { const e = $(key); if (e) e.value = key === "n" ? DATA.steps.indexOf(value) : value; }
  for (const which of ["a", "b"]) {
    const label = $(`label-g${which}`), {parameter, name} = DATA.solvers[state[which]], input = $(`g${which}`);
    label.classList.toggle("off", !parameter); input.disabled = !parameter;
    label.firstElementChild.textContent = parameter || "no parameter"; label.querySelector("output").textContent = parameter ? state[`g${which}`] : "";
    input.setAttribute("aria-label", `${parameter || "no parameter"} of ${name}`);
  }
  $("n").nextElementSibling.textContent = state.n; $("n").setAttribute("aria-valuetext", state.n);
  $("spacing").textContent = `Grid ${state.grid}: ${DATA.spacing[state.grid]}. Here it has ${gridOf(state.grid, state.n).n} slots.`;
}
let waiting = {}, later = 0, address = "";
function write() {  // unless a link was followed a moment ago, of which the page will hear
  if (location.hash === address) { history.replaceState(null, "", written()); address = location.hash; }
}
function update(...panels) {
  for (const panel of panels.length ? panels : [paths, steps, gammas, trips, stability, printed]) waiting[panel.name] = panel;
  clearTimeout(later);
  later = setTimeout(write, 100);  // browsers refuse more than a few a second
  show();
  requestAnimationFrame(() => { const all = Object.values(waiting); waiting = {}; for (const panel of all) panel(); });
}
function printed() {
  $("programs").querySelector("pre").textContent = [...new Set(chosen().map(who => who.own))].map(own => ["step", "inverse"].filter(name => own[name]).map(name => `${own.name}, ${name}: ${own[name].of}`).join("\n")).join("\n\n")
    + `\n\na[k], s[k]: α and σ at index i − 1 + k (3: half-way inside the slot); g: the parameter\n[target, argument, level]: an evaluation; [target, coefficients, values]: a sum`;
}
function fill(select, entries) { select.replaceChildren(...entries.map(([value, text]) => new Option(text, value))); }
for (const which of ["a", "b"]) {
  fill($(which), Object.entries(DATA.solvers).map(([key, own]) => [key, own.name]));
  $(which).addEventListener("change", e => { state[which] = e.target.value; state[`g${which}`] = DATA.solvers[state[which]].value; update(); });
  $(`g${which}`).addEventListener("input", e => { state[`g${which}`] = +e.target.value; update(); });
}
fill($("grid"), Object.keys(DATA.grids).map(key => [key, key]));
fill($("dist"), Object.entries(DATA.laws).map(([key, law]) => [key, law.label]));
$("n").max = DATA.steps.length - 1;
$("n").addEventListener("input", e => { state.n = DATA.steps[+e.target.value]; update(); });
for (const key of ["grid", "dist", "dir", "dtype"]) $(key).addEventListener("change", e => { state[key] = e.target.value; update(); });

const handle = document.querySelector(".handle");
const move = x => { state.x = +Math.max(-REACH, Math.min(REACH, x)).toFixed(2); update(paths, stability); };
handle.addEventListener("pointerdown", e => { handle.setPointerCapture(e.pointerId); handle.focus(); e.preventDefault(); });
handle.addEventListener("touchstart", e => e.preventDefault(), {passive: false});  // a finger moves the start, not the page
handle.addEventListener("pointermove", e => {
  if (!handle.hasPointerCapture(e.pointerId)) return;
  const place = e.clientY - handle.ownerSVGElement.getBoundingClientRect().top, {t, b} = frame.box;
  move(REACH - (place - t) / (b - t) * 2 * REACH);
});
handle.addEventListener("keydown", e => {
  const by = {ArrowUp: 0.05, ArrowRight: 0.05, ArrowDown: -0.05, ArrowLeft: -0.05, PageUp: 0.5, PageDown: -0.5}[e.key];
  const to = by ? state.x + by : {Home: -REACH, End: REACH}[e.key];
  if (to !== undefined) { e.preventDefault(); move(to); }
});
const arrive = () => {
  const refused = [];
  clearTimeout(later); address = location.hash; state = read(address.slice(1), refused); update();
  $("refused").textContent = refused.length ? `Unknown in the address, and left at its first value: ${refused.join(", ")}.` : "";
};
$("controls").addEventListener("input", () => { $("refused").textContent = ""; });
addEventListener("hashchange", arrive);
addEventListener("resize", () => update());
$("controls").hidden = $("panels").hidden = false;
arrive();
