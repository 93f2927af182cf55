"""The service and its upstream, really run: with the cache nobody sees an error, without it everybody does."""

import asyncio
import io

import httpx
import pytest
from rich.console import Console

from examples.resilience.__main__ import Phase, demo, explanation, summary
from examples.resilience.client import Client
from examples.resilience.load import Figures
from examples.resilience.servers import Servers, reserved_port
from examples.resilience.service import create_app
from examples.resilience.upstream import PRODUCTS
from examples.resilience.view import Shown

RATE = 40
# An entry is fresh for a second and refreshed behind the scenes for one more: who asks half a second later
# is served by stale_if_error.
DOWN = 2.5


def test_an_outage(capfd: pytest.CaptureFixture[str]) -> None:
    phases = [Phase("slow", 0.5, 0.3), Phase("down", DOWN, None), Phase("recovered", 0.5, 0.0)]
    text = io.StringIO()
    results = asyncio.run(demo(phases, RATE, Console(file=text, width=120)))
    for result in results:
        requests = round(result.phase.seconds * RATE)
        assert {figures.requests for figures in result.figures.values()} == {requests}
        assert result.figures["with"].errors == 0
    down = results[1]
    assert down.figures["without"].errors == down.figures["without"].requests
    # The last of them come when nothing is fresh any more, and nothing can be loaded.
    assert down.stale_served >= (DOWN - 2) * RATE / 2
    # Nothing was said on the way: refreshes that failed, or were under way at the end, are no noise.
    assert capfd.readouterr() == ("", "")
    assert "its process is killed" in text.getvalue()
    assert "the upstream was asked" in explanation(results)
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(summary(results))
    assert "100%" in console.export_text()


def test_what_the_upstream_lacks_is_no_failure() -> None:
    async def main() -> None:
        with reserved_port() as port:
            servers = Servers(port)
            del servers.services["without"]
            async with servers.running(), Client(servers.services["with"].port) as client:
                for product, status in ((PRODUCTS, 404), (PRODUCTS, 404), (1, 200)):
                    assert (await client.request(f"/products/{product}"))[0] == status
                await servers.set_upstream(None)
                # Known: that there is none, and the one that there is.  Not known: another one.
                for product, status in ((PRODUCTS, 404), (1, 200), (2, 503)):
                    assert (await client.request(f"/products/{product}"))[0] == status

    asyncio.run(main())


def test_each_application_has_and_closes_a_cache_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(port: int) -> None:
        monkeypatch.setenv("UPSTREAM", f"http://127.0.0.1:{port}")
        for known in ({"id": 1}, {"id": 1, "name": "another"}):
            app = create_app()
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
            ):
                assert app.state.find_product.cache_set(known, 1, None)
                assert (await client.get("/products/1")).json() == known
                assert (await client.get("/products/2")).status_code == 503
            with pytest.raises(RuntimeError, match="closed"):
                await app.state.find_product(1, None)

    with reserved_port() as port:
        asyncio.run(main(port))


def test_figures() -> None:
    figures = Figures([n / 1000 for n in range(100, 0, -1)], errors=25)
    assert (figures.requests, figures.error_rate) == (100, 0.25)
    assert [figures.milliseconds(percent) for percent in (50, 99, 100)] == ["50.0", "99.0", "100"]
    assert (Figures().error_rate, Figures().milliseconds(99)) == (0, "0.0")


def test_the_live_view_shows_the_phase_under_way() -> None:
    shown = Shown()
    assert shown.sums() == ""
    shown.begin("down", 4, {"with": Figures([0.001] * 4), "without": Figures([0.2], errors=1)})
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(shown.table("For 10 s"))
    for text in ("For 10 s", "down", "with", "1.0", "200", "100%"):
        assert text in console.export_text(clear=False)
    assert "with a cache: 4 requests, 0 errors, p99 1.0 ms" in shown.sums()
