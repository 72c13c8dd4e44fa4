"""The networks of galaxies against the layers that they were written with; skipped, with a reason, where the cache is empty."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")

from bdia_numerics import BDIA, grids, invert, solve  # noqa: E402
from bdia_numerics.torch import galaxies  # noqa: E402

cached = pytest.mark.skipif(not galaxies.names(), reason=f"the cache of galaxies is empty: {galaxies.COMMAND}")


def mixer_file(path, *, hidden=6, side=4, patch=2, width=5, blocks=2, seed=0):
    """Write a small network in the layout of the package."""
    rng, patches = np.random.default_rng(seed), side * side
    shapes = [(hidden, 2, patch, patch), (hidden, 1, 1), (1, hidden, patch, patch), (1, 1, 1)]
    for _ in range(blocks):
        shapes += [(width, patches), (width,), (patches, width), (patches,), (width, hidden), (width,), (hidden, width)]
        shapes += [(hidden,), (hidden, patches), (hidden, patches), (patches, hidden), (patches, hidden)]
    shapes += [(hidden, patches)] * 2
    with path.open("wb") as file:
        for shape in shapes:
            np.save(file, rng.standard_normal(shape).astype(np.float32) / 2)
        np.save(file, np.float64(10.0))


def by_equinox(path, z, t):
    """Return the network's output by the layers of equinox, as the package has them."""
    eqx, jax = pytest.importorskip("equinox"), pytest.importorskip("jax")
    jnp, found = jax.numpy, galaxies.arrays(path)
    key, (hidden, _, patch, _) = jax.random.PRNGKey(0), found[0].shape
    blocks, patches, width = (len(found) - 7) // 12, found[6].shape[0], found[4].shape[0]

    def mlp(n):
        return eqx.nn.MLP(n, n, width, depth=1, key=key)

    parts = [
        eqx.nn.Conv2d(2, hidden, patch, stride=patch, key=key),
        eqx.nn.ConvTranspose2d(hidden, 1, patch, stride=patch, key=key),
        [
            (mlp(patches), mlp(hidden), eqx.nn.LayerNorm((hidden, patches)), eqx.nn.LayerNorm((patches, hidden)))
            for _ in range(blocks)
        ],
        eqx.nn.LayerNorm((hidden, patches)),
    ]
    dynamic, static = eqx.partition(parts, eqx.is_array)
    leaves, tree = jax.tree_util.tree_flatten(dynamic)
    assert [leaf.shape for leaf in leaves] == [a.shape for a in found[:-1]]
    into, out, body, norm = eqx.combine(
        jax.tree_util.tree_unflatten(tree, [jnp.asarray(a) for a in found[:-1]]), static
    )
    y = into(jnp.concatenate([z, jnp.full_like(z, t / 10)]))
    shape, y = y.shape, y.reshape(hidden, patches)
    for over_patches, over_hidden, first, second in body:
        y = y + jax.vmap(over_patches)(first(y))
        y = (y.T + jax.vmap(over_hidden)(second(y.T))).T
    return np.asarray(out(norm(y).reshape(shape)))


def compared(path, size):
    z = np.random.default_rng(1).standard_normal((2, 1, size, size)).astype(np.float32)
    network = galaxies.Mixer.of(galaxies.arrays(path)).eval()
    with torch.no_grad():
        ours = network(torch.from_numpy(z), torch.tensor([0.3, 0.7])).numpy()
    theirs = np.stack([by_equinox(path, image, t) for image, t in zip(z, (3.0, 7.0), strict=True)])
    # Some hundred additions of float32 in another order.
    assert np.max(np.abs(ours - theirs)) < 1000 * np.finfo(np.float32).eps * np.max(np.abs(theirs))
    assert np.max(np.abs(ours[0] - theirs[1])) > 1e-2


@pytest.mark.slow
def test_a_mixer_is_that_of_equinox(tmp_path):
    mixer_file(tmp_path / "eqx_small.eqx")
    compared(tmp_path / "eqx_small.eqx", 8)


@cached
def test_a_cached_network_is_that_of_equinox():
    compared(galaxies.cache() / "eqx_hsc_ScoreNet32.eqx", 32)


@cached
def test_a_cached_network_round_trips():
    loaded = galaxies.load_galaxy("hsc_ScoreNet32")
    grid = grids.uniform(loaded.schedule, 10, t_min=0.01)
    assert grid.alpha[10] ** 2 == pytest.approx(np.exp(-10), rel=1e-12, abs=0)
    z = torch.randn(2, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = solve(BDIA(), loaded.model(), grid, z)
    assert found.status.ok
    assert float((invert(BDIA(), loaded.model(), grid, found.state).z - z).abs().max()) < 1e-8


def test_files_that_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("BDIA_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="which is empty"):
        galaxies.load_galaxy("hsc_ScoreNet32")
    galaxies.cache().mkdir()
    for content in (b"", b"\x93NUMPY", b"odd"):
        (galaxies.cache() / "eqx_x.eqx").write_bytes(content)
        with pytest.raises(ValueError, match="fetch again"):
            galaxies.load_galaxy("x")
    mixer_file(galaxies.cache() / "eqx_x.eqx")
    galaxies.load_galaxy("x")
    found = galaxies.arrays(galaxies.cache() / "eqx_x.eqx")
    with (galaxies.cache() / "eqx_x.eqx").open("wb") as file:
        for array in [*found[:4], found[4][:3], *found[5:]]:
            np.save(file, array)
    with pytest.raises(ValueError, match="other shapes than a mixer's: fetch again"):
        galaxies.load_galaxy("x")
    (tmp_path / "odd.whl").write_bytes(b"other")
    with pytest.raises(ValueError, match="SHA-256"):
        galaxies.unpack(tmp_path / "odd.whl")
