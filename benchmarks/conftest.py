"""Print the ratios, which are what the benchmarks are about, below pytest-benchmark's table of times."""


def pytest_terminal_summary(terminalreporter, config):
    """List every figure that a benchmark recorded beside its time."""
    session = getattr(config, "_benchmarksession", None)
    rows = [(b.name, k, v) for b in getattr(session, "benchmarks", ()) for k, v in b.extra_info.items()]
    if rows:
        terminalreporter.section("ratios")
        for name, key, value in rows:
            shown = f"{value:.3g}" if isinstance(value, float) else value
            terminalreporter.write_line(f"{name}: {key} = {shown}")
