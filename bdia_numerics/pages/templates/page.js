/* Opens what the address of a page names, and sets the formulas of a page, which stand in it as TeX; one that is too wide between two of its breaks scrolls by itself. */
for (const e of document.querySelectorAll(".math")) {
  const tex = e.textContent.trim();
  try {
    katex.render(tex, e, {displayMode: e.tagName === "DIV", strict: "error"});
  } catch (error) {
    e.textContent = tex;
    console.error(`formula ${tex}: ${error.message}`);
  }
}
const fit = () => {
  const wide = [...document.querySelectorAll(".math")].filter(e => {
    let block = e; while (getComputedStyle(block).display.startsWith("inline")) block = block.parentElement;
    return [...e.querySelectorAll(".katex-base")].some(part => part.getBoundingClientRect().width > block.clientWidth);
  });
  for (const e of document.querySelectorAll(".math")) e.classList.toggle("wide", wide.includes(e));
};
document.fonts.ready.then(fit);
addEventListener("resize", fit);
addEventListener("toggle", fit, true);
const named = () => { document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details")?.setAttribute("open", ""); };
addEventListener("hashchange", named); named();
document.getElementById("open")?.addEventListener("click", () => document.querySelectorAll(".claim").forEach(e => { if (e.checkVisibility()) e.open = true; }));
