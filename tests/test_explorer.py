"""`bdia explore`: what the page computes is what NumPy computes, and each control, the address and both widths do what they should."""

import re
from itertools import chain, product
from pathlib import Path

import numpy as np
import pytest
import sympy
from json_checks import fits

pytest.importorskip("matplotlib", reason="needs the extra report")
pytest.importorskip("jinja2", reason="needs the extra report")
pytest.importorskip("playwright.sync_api", reason="needs the extra test")

from browser_checks import CHROMIUM, HEIGHT, WIDTHS, browser
from typer.testing import CliRunner

from bdia_numerics import BDIA, analysis, encode, names, problems, round_trip, solve
from bdia_numerics.cli import app
from bdia_numerics.pages import explorer
from bdia_numerics.spaces import FLOAT64

ROOT = Path(__file__).resolve().parent.parent
LINKED = (ROOT / "docs" / "explore.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium (scripts/debian-packages.sh chromium installs it)"
)

PARAMETERS = {"bdia": ("gamma", 0.9), "edict": ("p", 0.93)}
PLACES = [("leading", 10), ("cut", 8), ("trailing", 10), ("quad", 10), ("asinh", 12), ("alternating", 12)]
# A run there and back from each start: the far end, what comes back, and the path.
RUN = """([choice, end, starts]) => starts.map(z => { const path = [], there = (end === "data" ? backward : forward)(choice, z, path);
  return [there.state, back(choice, there, end), there.calls, path]; })"""
RADII = "([name, way, g, plane]) => plane.map(x => largest([DATA.solvers[name][way](g), 1], x))"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page as the command writes it, and what the command says."""
    place = tmp_path_factory.mktemp("explorer") / "explorer.html"
    ran = CliRunner().invoke(app, ["explore", "--out", str(place), "--json"])
    assert ran.exit_code == 0, ran.output
    return place, fits("explore", ran.stdout)


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


def opened_at(chromium, page, width):
    """Return the page in a window, with what its console says."""
    opened = chromium.new_page(viewport={"width": width, "height": HEIGHT})
    opened.said = []
    opened.on("console", lambda m: opened.said.append(m.text))
    opened.on("pageerror", lambda e: opened.said.append(str(e)))
    opened.goto(page[0].as_uri())
    return opened


@pytest.fixture(scope="module")
def tab(chromium, page):
    """Return the page in a wide window."""
    return opened_at(chromium, page, WIDTHS[0])


def settled(tab, *, by_itself=False):
    """Wait until all panels are drawn, and the address is written, at once or when the page does it."""
    tab.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    if not by_itself:
        tab.evaluate("clearTimeout(later), write()")
    tab.wait_for_function("location.hash === written()")


def at(tab, state):
    tab.evaluate("text => { location.hash = text; }", state)
    tab.wait_for_function("text => JSON.stringify(read(text)) === JSON.stringify(state)", arg=state)
    settled(tab)


def chosen(name, grid, n, dtype, law):
    parameter, value = PARAMETERS.get(name, ("", 1))
    solver = names.solver(name, **({parameter: value} if parameter else {}))
    return solver, {"solver": name, "g": value, "grid": grid, "n": n, "dist": law, "dtype": dtype}


def test_the_page_is_one_file_that_loads_nothing(page):
    place, said = page
    text = place.read_text(encoding="utf-8")
    assert said["page"] == str(place) and said["bytes"] == place.stat().st_size < 2_000_000
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#|\$\{shades)|https?://(?!www\.w3\.org)", text)
    assert said["presets"].keys() == set(re.findall(r"explorer\.html#([\w-]+)", LINKED))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    chapters = {path.name[:2]: path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("*.py")}
    linking = {number: re.findall(r"\.\./explorer\.html#([\w-]+)", text) for number, text in chapters.items()}
    assert {number for number, presets in linking.items() if presets} == {"03", "04", "05"}
    commands = re.findall(r"bdia explore ([\w-]+)", "".join([readme, LINKED, *chapters.values()]))
    assert {*commands, *chain(*linking.values())} <= {*said["presets"], "--out"}
    assert "`bdia explore last-slot`" in readme and "docs/explore.md#the-last-slot" in readme


def cases(dtype):
    """Yield solvers on grids of every kind, in both directions: what runs here, and what is chosen on the page."""
    schedule = names.schedule("stable_diffusion")
    for k, name in enumerate(explorer.SOLVERS):
        for m, (kind, n) in enumerate(PLACES[k % 2 :: 2]):
            text = ("mixture", "tight")[(k + m) % 2]
            solver, choice = chosen(name, kind, n, dtype, text)
            grid, model = names.grid(kind)(schedule, n), names.distribution(text).model(schedule)
            for end in ("noise", "data"):
                yield solver, model, grid, end, choice


@pytest.mark.parametrize(("dtype", "slack"), [("float64", 1e-12), ("float32", 0)])
def test_runs_are_those_of_numpy(tab, dtype, slack):
    """Bit for bit in float32; in float64, where coefficients are rounded more often, to 1e-12 of the largest state."""
    refused = 0
    for solver, model, grid, end, choice in cases(dtype):
        z = np.linspace(-1.5, 1.5, 4, dtype=dtype)[:, None]
        found = tab.evaluate(RUN, [choice, end, z[:, 0].tolist()])
        run, returns = (solve, encode)[end == "data"], choice["solver"] != "dpmsolverpp" or grid.sigma[0]
        if end == "data" and not returns:  # it has no step away from sigma = 0
            with pytest.raises(ValueError, match="sigma = 0"):
                run(solver, model, grid, z)
            assert all(x is None or x != x for x, *_ in found)
            refused += 1
            continue
        there = run(solver, model, grid, z, return_trajectory=True)
        most = slack * np.abs(there.trajectory).max()
        paths = np.array([path for *_, path in found]).T
        assert np.abs(paths - there.trajectory[:, :, 0]).max() <= most, (choice, end)
        assert {calls for _, _, calls, _ in found} == {there.nfe}
        if returns:
            back = round_trip(solver, model, grid, z, end=end, reference=z).returned[:, 0]
            assert np.abs([x for _, x, *_ in found] - back).max() <= most, (choice, end)
    assert refused == 1 and not tab.said


def test_errors_are_those_of_exact_solutions(tab):
    """Starts are pairs of the exact flow, to 1e-12 of the largest; errors from them are those of `round_trip`."""
    schedule = names.schedule("stable_diffusion")
    for text, (grid, n) in zip(("mixture", "tight", "modes", "broad", "gaussian:0.5"), PLACES[1:], strict=True):
        law, slots = names.distribution(text), names.grid(grid)(schedule, n)
        x, z = np.array(tab.evaluate("([dist, grid, n]) => pairs(dist, grid, n)", [text.partition(":")[0], grid, n])).T[
            :, :, None
        ]
        assert np.abs(law.flow(x, slots.t[0], slots.t[slots.n], schedule) - z).max() < 1e-12 * np.abs(z).max()
        solver, choice = chosen("bdia", grid, n, "float64", text.partition(":")[0])
        for end, start in (("data", x), ("noise", z)):
            found, wanted = (
                tab.evaluate("([choice, end]) => errors(choice, end)", [choice, end]),
                round_trip(solver, law.model(schedule), slots, start, end=end, reference=law),
            )
            assert found["far"] == pytest.approx(wanted.latent, rel=1e-9, abs=1e-13)
            assert found["returned"] < 1e-12


def test_roots_are_those_of_the_stability_polynomial(tab):
    for name, way in product(("bdia", "edict", "alf"), ("sample", "invert")):
        solver, choice = chosen(name, "cut", 8, "float64", "mixture")
        wanted = analysis.stability_region(
            solver, direction=way, real=(-2, 1), imaginary=(-0.9, 0.8), resolution=4
        )  # off the double roots at i and -i
        plane = [[a, b] for b in wanted.imaginary.tolist() for a in wanted.real.tolist()]
        found = tab.evaluate(RADII, [name, way, choice["g"], plane])
        assert np.allclose(found, wanted.radius.ravel(), rtol=1e-12, atol=0)


def shown(tab):
    """Return what each panel shows."""
    return tab.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#panels > *')].map(e => [e.id, e.innerHTML]))"
    )


ALL = {"paths", "steps", "gammas", "trips", "stability"}
CONTROLS = {
    "a": ("edict", "edict", ALL | {"programs"}),
    "ga": ("0.9", "0.9", ALL),
    "b": ("bdia", "bdia", ALL | {"programs"}),
    "gb": ("0.8", "0.8", ALL),
    "grid": ("trailing", "trailing", ALL),
    "n": ("7", "20", ALL),
    "dist": ("modes", "modes", ALL),
    "dir": ("encode", "encode", ALL - {"trips"}),
    "dtype": ("float32", "float32", {"trips"}),
}
"""By the control's id: what it is set to, what the address then says, and the panels that change."""


def test_each_control_changes_its_panels_and_the_address(tab, chromium):
    at(tab, explorer.PRESETS["last-slot"][1].replace("b=bdia", "b=alf"))
    for control, (value, written, panels) in CONTROLS.items():
        before = shown(tab)
        is_menu = tab.evaluate("id => document.getElementById(id).tagName === 'SELECT'", control)
        (tab.select_option if is_menu else tab.fill)(f"#{control}", value)
        settled(tab)
        after = shown(tab)
        assert panels <= {name for name in after if after[name] != before[name]}, control
        assert re.search(rf"[#&]{control}={written}(&|$)", tab.url)
    assert tab.get_attribute("#n", "aria-valuetext") == "20"
    assert "N points from t = 999" in tab.inner_text("#spacing") and "20 slots" in tab.inner_text("#spacing")
    fresh = chromium.new_page(viewport={"width": WIDTHS[0], "height": HEIGHT})
    fresh.goto(tab.url)
    settled(fresh)
    assert fresh.evaluate("JSON.stringify(state)") == tab.evaluate("JSON.stringify(state)") and shown(fresh) == after
    fresh.close()
    assert not tab.said


def test_the_start_is_moved_by_keys_and_by_pointer(tab):
    at(tab, explorer.PRESETS["last-slot"][1])
    tab.focus(".handle")
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("PageDown")
    assert tab.evaluate("state.x") == pytest.approx(-0.65)
    settled(tab, by_itself=True)
    assert tab.get_attribute(".handle", "aria-valuenow") == "-0.65" and "x=-0.65" in tab.url
    box = tab.locator(".handle .grip").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = shown(tab)
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x, y - 60)
    tab.mouse.up()
    settled(tab)
    assert 0.3 < tab.evaluate("state.x") < 0.8
    assert {name for name, html in shown(tab).items() if html != before[name]} == {"paths", "stability"}


def test_a_finger_moves_the_start_and_not_the_page(chromium, page):
    context = chromium.new_context(viewport={"width": WIDTHS[1], "height": HEIGHT}, has_touch=True, is_mobile=True)
    phone = context.new_page()
    phone.goto(page[0].as_uri())
    settled(phone)
    phone.locator(".handle").scroll_into_view_if_needed()
    box, scrolled = phone.locator(".handle .grip").bounding_box(), phone.evaluate("scrollY")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = context.new_cdp_session(phone)
    for kind, places in [("Start", [y]), *(("Move", [y + 15 * k]) for k in range(1, 5)), ("End", [])]:
        points = [{"x": x, "y": place} for place in places]
        fingers.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    settled(phone)
    assert phone.evaluate("scrollY") == scrolled and -1.6 < phone.evaluate("state.x") < -1.1
    context.close()


def test_the_best_gamma_jumps_when_the_last_slot_is_cut(tab):
    best = []
    for grid in ("leading", "cut"):
        at(tab, explorer.PRESETS["last-slot"][1].replace("leading", grid))
        best.append(float(tab.get_attribute("#gammas .best", "data-best")))
    assert best == [0.25, 1]


def test_each_gamma_of_the_curve_can_be_chosen(tab):
    at(tab, explorer.PRESETS["last-slot"][1])
    assert tab.evaluate("GAMMAS.filter(g => { $('gb').value = g; return +$('gb').value !== g; })") == []


def test_the_parasitic_root_is_inside_for_the_step_and_outside_for_the_inverse(tab):
    """As the view of gamma says; with Python's polynomial, without the root that follows the solution."""
    at(tab, explorer.PRESETS["gamma"][1])
    said = re.search(r"γ = 0\.8.*", tab.locator("#stability figcaption").text_content())[0]
    step, inverse = np.array(re.findall(r"([\d.]+) to ([\d.]+)", said), float)
    assert step[1] < 1 < inverse[0], said
    zeta, x = sympy.symbols("zeta x")
    for way, shown, sign in (("sample", step, 1), ("invert", inverse, -1)):
        polynomial = sympy.numer(
            sympy.together(analysis.stability_polynomial(BDIA(0.8), direction=way, zeta=zeta, x=x))
        )
        coefficients = sympy.lambdify(x, sympy.Poly(polynomial, zeta).all_coeffs())
        moduli = []
        for slot in tab.evaluate("slots(chosen()[1])"):
            roots = np.roots(coefficients(slot))
            moduli.append(abs(roots[np.argmax(abs(roots - np.exp(sign * slot)))]))
        assert np.allclose(shown, [min(moduli), max(moduli)], rtol=5e-3)


def test_what_cannot_be_drawn_is_said(tab):
    """Crosses are explained where there are some; a solver that cannot encode has no curve, and its reason stands there."""
    at(tab, "a=bdia&ga=0&b=bdia&gb=0.5&grid=trailing&n=50&dir=encode")
    for panel in ("steps", "gammas", "trips"):
        assert "errors above 1000" in tab.inner_text(f"#{panel} figcaption"), panel
    assert "needs γ ≠ 0" in tab.inner_text("#paths figcaption") and "no path above" in tab.inner_text(
        "#stability figcaption"
    )
    at(tab, "a=ddim&b=dpmsolverpp&grid=leading&n=50&dir=encode")
    for panel in ("steps", "gammas", "trips"):
        assert "errors above 1000" not in tab.inner_text(f"#{panel} figcaption"), panel
        colour = tab.evaluate("chosen()[1].colour")
        assert tab.locator(f"#{panel} svg:not(figcaption svg) path[stroke='{colour}']").count() == 0, panel


@pytest.mark.slow
def test_the_first_step_limits_the_order_on_a_rough_grid():
    """O-BELM's error from 200 to 400 steps, as docs/explore.md says."""
    law, schedule = names.distribution("mixture"), names.schedule("stable_diffusion")
    z, ratios = problems.normal_quantiles(explorer.STARTS), []
    for start in (None, names.solver("heun")):
        slots = [names.grid("alternating")(schedule, n) for n in (200, 400)]
        ends = [solve(names.solver("obelm"), law.model(schedule), grid, z, start=start).z for grid in slots]
        errors = [
            FLOAT64.rms(end - law.flow(z, grid.t[grid.n], grid.t[0], schedule))
            for grid, end in zip(slots, ends, strict=True)
        ]
        ratios.append(round(float(errors[0] / errors[1]), 1))
    said = re.search(r"divided by ([\d.]+), after a first step by Heun's method by ([\d.]+)", LINKED)
    assert ratios == [float(x.rstrip(".")) for x in said.groups()]


def test_an_address_that_means_nothing_is_the_first_view(tab):
    wanted = tab.evaluate("JSON.stringify(START)")
    for text in ("", "nowhere", "a=euler&n=7&x=nan&grid=__proto__&ga=2&constructor=1"):
        assert tab.evaluate("text => JSON.stringify(read(text))", text) == wanted
    tab.evaluate("text => { location.hash = text; }", f"{text}&gb=&x=1e9&dist=broad&ga=0.5x")
    settled(tab)
    names_them = "a=euler, n=7, x=nan, grid=__proto__, ga=2, constructor=1, gb, x=1e9, ga=0.5x."
    assert tab.inner_text("#refused").endswith(f": {names_them}") and tab.evaluate("state.dist") == "broad"
    tab.select_option("#grid", "quad")
    assert tab.inner_text("#refused") == ""
    for name in explorer.PRESETS:
        at(tab, name)
        assert tab.inner_text("#refused") == ""


def test_a_link_is_followed_while_a_choice_waits_to_be_written(tab):
    """The address is written some time after a choice; what a link put there meanwhile stays."""
    at(tab, "last-slot")
    tab.evaluate("state.n = 20; location.hash = 'gamma'; write();")
    settled(tab)
    assert tab.evaluate("JSON.stringify(state) === JSON.stringify(read('gamma'))")


# Pieces of text in one drawing that cover one another, and those that leave the window.
CROWDED = """() => [...document.querySelectorAll("#panels svg")].flatMap(svg => {
  const boxes = [...svg.querySelectorAll("text")].map(e => [e.getBoundingClientRect(), e.textContent]), found = [];
  boxes.forEach(([a, text], k) => {
    if (a.left < -1 || a.right > innerWidth + 1) found.push(`outside: ${text}`);
    for (const [b, other] of boxes.slice(k + 1)) {
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 2 && high > 3) found.push(`${text} | ${other}`);
    }
  });
  return found; })"""


@pytest.mark.parametrize("width", [pytest.param(WIDTHS[0], marks=pytest.mark.slow), WIDTHS[1]])
def test_views_have_room_at_both_widths(chromium, page, width):
    opened = opened_at(chromium, page, width)
    for name, (_, state) in explorer.PRESETS.items():
        at(opened, state)
        assert opened.evaluate(CROWDED) == [] and opened.evaluate("document.scrollingElement.scrollWidth") <= width, (
            name
        )
    assert not opened.said
    opened.close()


def test_the_still_picture_shows_the_panel_of_gamma(tab):
    gammas = [0.25, 0.5, 1]
    for kind in ("leading", "cut"):
        choices = [
            {"solver": "bdia", "g": g, "grid": kind, "n": 10, "dist": "tight", "dtype": "float64"} for g in gammas
        ]
        wanted = tab.evaluate("choices => choices.map(choice => farError(choice, 'noise'))", choices)
        assert explorer.still(kind, gammas) == pytest.approx(wanted, rel=1e-9)


def test_without_javascript_a_picture_stands_there(chromium, page):
    context = chromium.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(page[0].as_uri())
    box = still.locator("noscript img").bounding_box()
    assert box["width"] > 300 and box["height"] > 200 and not still.locator("#controls").is_visible()
    context.close()


def test_the_command_opens_a_view(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(explorer, "render", lambda: "a page")
    ran = CliRunner().invoke(app, ["explore", "last-slot"])
    (place,) = tmp_path.glob("bdia-*/explorer.html")
    assert ran.exit_code == 0 and opened == [f"{place.as_uri()}#last-slot"]
    assert place.read_text(encoding="utf-8") == "a page"
    refused = CliRunner().invoke(app, ["explore", "first-slot"])
    assert refused.exit_code != 0 and len(opened) == 1
