"""The explorer in real browsers, told what to do in one way: Chromium by Playwright, Firefox by WebDriver BiDi.

Playwright drives a Firefox of its own build alone; the one that people have speaks WebDriver BiDi.
"""

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, sync_playwright
from websockets.sync.client import ClientConnection, connect

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
FIREFOX = os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
Place = tuple[float, float]
READY = "document.documentElement.dataset.ready || !document.getElementById('problem').hidden"


class Tab(Protocol):
    """An open page, and hands on it. Places are CSS pixels of the window."""

    def get(self, script: str, argument: Any = None) -> Any: ...
    def move(self, x: float, y: float) -> None: ...
    def down(self, button: str = "left") -> None: ...
    def up(self, button: str = "left") -> None: ...
    def wheel(self, delta: float) -> None: ...
    def press(self, key: str) -> None: ...
    def fingers(self, *paths: Sequence[Place]) -> None: ...
    def resize(self, width: int, height: int) -> None: ...
    def show(self) -> None: ...
    def close(self) -> None: ...


class Explorer:
    """Shorthand for what tests ask of a tab."""

    def __init__(self, tab: Tab, name: str):
        self.tab, self.name = tab, name
        self.get = tab.get

    def wait(self, script: str, argument: Any = None) -> None:
        end = time.monotonic() + 20
        while not self.get(script, argument):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until what was asked for is drawn, and the fragment is up to date."""
        self.get("explorer.settled()")

    def frame(self) -> None:
        """Wait until the browser has drawn a whole frame, and told the page of what is new with it."""
        self.get("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def resize(self, width: int, height: int) -> None:
        """Give the window that size, and see the page laid out anew."""
        self.tab.resize(width, height)
        self.wait("([width, height]) => innerWidth === width && innerHeight === height", [width, height])
        self.frame()
        self.settle()

    def fresh(self, fragment: str = "") -> None:
        """Have a page that was used show what a new one would."""
        self.tab.move(2, 2)
        self.get("(document.activeElement.blur(), scrollTo(0, 0))")
        self.go(fragment)

    def go(self, fragment: str) -> None:
        """Have the open page show what the fragment says."""
        self.get(
            "(fragment) => new Promise((done) => {"
            "addEventListener('hashchange', () => done(), { once: true });"
            "location.hash = `${fragment}&at=${performance.now()}`; })",
            fragment.removeprefix("#"),
        )
        self.settle()

    def set(self, script: str) -> None:
        """Set the page's state by a JavaScript object, and see it drawn."""
        self.get(f"void explorer.set({script})")
        self.settle()

    def state(self, key: str) -> Any:
        return self.get("key => { const v = explorer.state[key]; return v instanceof Set ? [...v] : v; }", key)

    def box(self, selector: str) -> dict[str, float]:
        found: dict[str, float] = self.get(
            "s => { const b = document.querySelector(s).getBoundingClientRect();"
            "return {x: b.x, y: b.y, width: b.width, height: b.height, right: b.right, bottom: b.bottom}; }",
            selector,
        )
        return found

    def show(self, selector: str) -> None:
        self.get("s => void document.querySelector(s).scrollIntoView({block: 'center', behavior: 'instant'})", selector)

    def show_grid(self) -> None:
        """Scroll to the grid, and wait until it has been built for the present state.

        The page builds it when an IntersectionObserver reports it. A browser calls all observers of a frame in one
        task: the page's own, and the one made here.
        """
        self.show("#grid-card")
        self.get(
            "new Promise((done) => new IntersectionObserver((_, own) => (own.disconnect(), setTimeout(done)))"
            ".observe(document.getElementById('grid-card')))"
        )

    def middle(self, selector: str) -> Place:
        box = self.box(selector)
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def click(self, selector: str) -> None:
        self.show(selector)
        self.press_at(*self.middle(selector))

    def press_at(self, x: float, y: float) -> None:
        self.tab.move(x, y)
        self.tab.down()
        self.tab.up()

    def drag(self, *places: Place, button: str = "left") -> None:
        self.tab.move(*places[0])
        self.tab.down(button)
        for place in places[1:]:
            self.tab.move(*place)
        self.tab.up(button)

    def screen_of(self, point: int) -> Place:
        x, y = self.get("point => explorer.plot.screenOf(point)", point)
        return float(x), float(y)

    def lonely(self) -> int:
        """The shown point that is farthest on the screen from any other."""
        found: int = self.get(
            """() => {
              const places = JSON.parse(document.getElementById('facts').textContent).indices
                .map((_, i) => explorer.plot.screenOf(i));
              const shown = places.flatMap((place, i) => (place ? [[...place, i]] : []));
              let best = [0, 0]; // squared pixels, and the point
              for (const [x, y, i] of shown) {
                let apart = 1e18;
                for (const [u, v, k] of shown) {
                  if (k !== i) apart = Math.min(apart, (x - u) ** 2 + (y - v) ** 2);
                  if (apart <= best[0]) break;
                }
                if (apart > best[0]) best = [apart, i];
              }
              return best[1];
            }"""
        )
        return found


def as_json(script: str) -> str:
    """A function that takes and gives text: both protocols would wrap every number of an array on its own."""
    return (
        "async (text) => { let value = (" + script + ");"
        "if (typeof value === 'function') value = value(JSON.parse(text));"
        "return JSON.stringify((await value) ?? null); }"
    )


@dataclass
class ChromiumTab:
    """A page of Playwright's."""

    page: Any

    def get(self, script: str, argument: Any = None) -> Any:
        return json.loads(self.page.evaluate(as_json(script), json.dumps(argument)))

    def move(self, x: float, y: float) -> None:
        self.page.mouse.move(x, y)

    def down(self, button: str = "left") -> None:
        self.page.mouse.down(button=button)

    def up(self, button: str = "left") -> None:
        self.page.mouse.up(button=button)

    def wheel(self, delta: float) -> None:
        self.page.mouse.wheel(0, delta)

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def fingers(self, *paths: Sequence[Place]) -> None:
        session = self.page.context.new_cdp_session(self.page)
        for step in range(len(paths[0])):
            points = [{"x": path[step][0], "y": path[step][1], "id": i} for i, path in enumerate(paths)]
            kind = "touchMove" if step else "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        session.detach()

    def resize(self, width: int, height: int) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    def show(self) -> None:
        self.page.bring_to_front()

    def close(self) -> None:
        self.page.context.close()


KEYS = {"Enter": "\ue007", "Tab": "\ue004", "Escape": "\ue00c", "Home": "\ue011", "End": "\ue010"}
KEYS |= {f"Arrow{name}": chr(0xE012 + i) for i, name in enumerate(("Left", "Up", "Right", "Down"))}
BUTTONS = {"left": 0, "middle": 1, "right": 2}


@dataclass
class Bidi:
    """WebDriver BiDi: commands out, answers in, by their number; what the page logs is kept."""

    socket: ClientConnection
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    heard: list[str] = field(default_factory=list)

    def send(self, method: str, **params: Any) -> Any:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv(timeout=60))
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.heard.append(f"{answer['params']['text']}")
            if answer.get("id") == number:
                assert answer["type"] == "success", f"{method}: {answer.get('message')}"
                return answer["result"]


@dataclass
class FirefoxTab:
    """A tab in a user context of its own."""

    bidi: Bidi
    context: str
    user_context: str
    at: Place = (0, 0)

    def get(self, script: str, argument: Any = None) -> Any:
        answer = self.bidi.send(
            "script.callFunction",
            functionDeclaration=as_json(script),
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self.context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"]["value"])

    def _act(self, *sources: dict[str, Any]) -> None:
        self.bidi.send("input.performActions", context=self.context, actions=list(sources))

    def _mouse(self, *actions: dict[str, Any]) -> None:
        self._act({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": list(actions)})

    def move(self, x: float, y: float) -> None:
        self.at = (round(x), round(y))
        self._mouse({"type": "pointerMove", "x": self.at[0], "y": self.at[1]})

    def down(self, button: str = "left") -> None:
        self._mouse({"type": "pointerDown", "button": BUTTONS[button]})

    def up(self, button: str = "left") -> None:
        self._mouse({"type": "pointerUp", "button": BUTTONS[button]})

    def wheel(self, delta: float) -> None:
        x, y = self.at
        action = {"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": round(delta)}
        self._act({"type": "wheel", "id": "wheel", "actions": [action]})

    def press(self, key: str) -> None:
        value = KEYS.get(key, key)
        actions = [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._act({"type": "key", "id": "keys", "actions": actions})

    def fingers(self, *paths: Sequence[Place]) -> None:
        sources = []
        for i, path in enumerate(paths):
            moves: list[dict[str, Any]] = [
                {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20} for x, y in path
            ]
            moves.insert(1, {"type": "pointerDown", "button": 0})
            moves.append({"type": "pointerUp", "button": 0})
            sources.append(
                {"type": "pointer", "id": f"finger{i}", "parameters": {"pointerType": "touch"}, "actions": moves}
            )
        self._act(*sources)

    def resize(self, width: int, height: int) -> None:
        viewport = {"width": width, "height": height}
        self.bidi.send("browsingContext.setViewport", context=self.context, viewport=viewport)

    def show(self) -> None:
        self.bidi.send("browsingContext.activate", context=self.context)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.bidi.send("browsingContext.captureScreenshot", context=self.context)["data"])

    def close(self) -> None:
        self.bidi.send("browser.removeUserContext", userContext=self.user_context)


Opener = Callable[..., Tab]


# For each window Chromium loads a page of 400 files, its address bar's list, which takes as long as the explorer. The
# flag stands in the place of Playwright's own, whose names follow.
WITHOUT = (
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades", "LensOverlay"),
    *("HttpsFirstBalancedModeAutoEnable", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning"),
    *("AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled"),
    "PreconnectToSearch",
)


@contextmanager
def launched() -> Iterator[Browser]:
    """Chromium."""
    arguments = [
        "--no-sandbox",
        "--host-resolver-rules=MAP *.test 127.0.0.1",
        f"--disable-features={','.join(WITHOUT)}",
    ]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=arguments) as browser,
    ):
        yield browser


def chromium(browser: Browser) -> Opener:
    """Opens tabs in Chromium."""

    def open_tab(url: str, width: int, height: int, calm: bool = True, touch: bool = False) -> Tab:
        page = browser.new_context(
            viewport={"width": width, "height": height},
            reduced_motion="reduce" if calm else "no-preference",
            has_touch=touch,
        ).new_page()
        page.goto(url)
        return ChromiumTab(page)

    return open_tab


# What a fresh profile would ask, fetch, show or start ahead; and reduced motion, which most tests want.
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "dom.ipc.processPrelaunch.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "dom.w3c_touch_events.enabled": 1,
    "network.dns.forceResolve": "127.0.0.1",  # of any name
    "remote.prefs.recommended": True,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "ui.prefersReducedMotion": 1,
}


@contextmanager
def firefox() -> Iterator[Opener]:
    """Opens tabs in Firefox."""
    assert FIREFOX
    with tempfile.TemporaryDirectory() as folder:
        preferences = "".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in PREFERENCES.items())
        (Path(folder) / "user.js").write_text(preferences)
        command = [FIREFOX, "--headless", "--no-remote", "--profile", folder, "--remote-debugging-port", "0"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        try:
            assert process.stderr
            found = (re.search(r"BiDi listening on (ws://\S+)", line) for line in process.stderr)
            url = next(match[1] for match in found if match)
            with connect(f"{url}/session", max_size=None) as socket:
                yield _opener(Bidi(socket))
        finally:
            process.terminate()
            process.wait(20)
            if process.stderr:
                process.stderr.close()


def _opener(bidi: Bidi) -> Opener:
    bidi.send("session.new", capabilities={})
    bidi.send("session.subscribe", events=["log.entryAdded"])

    def open_tab(url: str, width: int, height: int, calm: bool = True, touch: bool = False) -> Tab:
        assert calm, "this Firefox was started with reduced motion"
        user_context = bidi.send("browser.createUserContext")["userContext"]
        context = bidi.send("browsingContext.create", type="tab", userContext=user_context)["context"]
        tab = FirefoxTab(bidi, context, user_context)
        tab.resize(width, height)
        bidi.send("browsingContext.navigate", context=context, url=url, wait="complete")
        return tab

    return open_tab


BROWSERS = {"chromium": CHROMIUM, "firefox": FIREFOX}


def need(name: str) -> None:
    """Skip the test where that browser isn't installed, but for CI, which must have it."""
    if not BROWSERS[name]:
        if os.environ.get("CI"):
            pytest.fail(f"CI must test the explorer in {name}: install it, or name it in {name.upper()}")
        pytest.skip(f"no {name} found: install it, or name it in {name.upper()}")
