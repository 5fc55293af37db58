"""A Chromium without a display, driven over its DevTools pipe; it needs no package and no port."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: Names of the program, in the order of preference.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
_NO_WEBGL = ("--disable-gpu", "--disable-webgl", "--disable-3d-apis")
#: The browser reads commands from descriptor 3 and writes answers to 4.
_ONTO_3_AND_4 = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for end, number in zip(ends, (3, 4)):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


def program() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Chromium:
    """One page in a browser of its own.

    Args:
        webgl: whether the page can use WebGL (in software).
        width, height: size of the window in pixels.
    """

    def __init__(self, *, webgl: bool = True, width: int = 1280, height: int = 900) -> None:
        self._home = tempfile.mkdtemp(prefix="chromium-")
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        words = [
            *(sys.executable, "-c", _ONTO_3_AND_4, str(read_there), str(write_there), program()),
            *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--hide-scrollbars"),
            *("--disable-dev-shm-usage", "--disable-background-networking", "--mute-audio"),
            *(f"--user-data-dir={self._home}", *(_WEBGL if webgl else _NO_WEBGL), "about:blank"),
        ]
        with Path(self._home, "log").open("wb") as log:
            self._process = subprocess.Popen(words, pass_fds=(read_there, write_there), stdout=log, stderr=log)
        os.close(read_there)
        os.close(write_there)
        self._write, self._read = write_here, read_here
        os.set_blocking(self._read, False)
        self._count, self._rest = itertools.count(1), b""
        self.events: list[dict[str, Any]] = []
        try:
            target = self._send("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log"):
                self.send(f"{domain}.enable")
            self.resize(width, height)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._send("Browser.close")
            self._process.wait(10)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self._home, ignore_errors=True)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol to the page and return its result."""
        return self._send(method, self._session, **parameters)

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """Set the size of the window."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                  mobile=width < 500)  # fmt: skip

    def open(self, path: Path, timeout_s: float = 60) -> str:
        """Open a page; return ``ready`` or ``unavailable`` once its viewer is either."""
        self.events.clear()
        self.send("Page.navigate", url=path.absolute().as_uri())
        return self.wait("document.readyState === 'complete' && document.documentElement.dataset.viewer", timeout_s)

    def wait(self, expression: str, timeout_s: float = 30) -> Any:
        """Wait until a JavaScript expression is true, and return its value."""
        end = time.monotonic() + timeout_s
        while True:
            if value := self.value(expression):
                return value
            if time.monotonic() > end:
                raise TimeoutError(f"{expression} did not become true; {self.problems()}")
            time.sleep(0.05)

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    def centre(self, selector: str) -> tuple[float, float]:
        """Scroll to an element and return its centre in the window."""
        at = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center'});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return at[0], at[1]

    def click(self, x: float, y: float) -> None:
        """Press and release the left button of the mouse."""
        for kind, buttons in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    def key(self, name: str) -> None:
        """Press and release a key, such as ``ArrowDown``, ``Enter`` or ``Tab``."""
        text = {"text": "\r"} if name == "Enter" else {}
        codes = {"Enter": 13, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38, "ArrowRight": 39, "PageUp": 33}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=codes[name],
                      **(text if kind == "keyDown" else {}))  # fmt: skip

    def lose_webgl(self) -> None:
        """Stop WebGL, as a browser does that needs its memory; ``lost.restoreContext()`` gives it back."""
        self.value(
            "window.lost = document.getElementById('canvas').getContext('webgl2').getExtension('WEBGL_lose_context');"
            "lost.loseContext()"
        )
        self.wait("document.documentElement.dataset.viewer === 'unavailable'")

    def requests(self) -> list[str]:
        """Return the addresses requested since the page was opened, but for data that the page itself holds."""
        sent = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith(("data:", "blob:"))]

    def problems(self) -> list[str]:
        """Return errors and exceptions that the page has raised since it was opened."""
        found = []
        for event in self.events:
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(parameters["exceptionDetails"])[:500])
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                found.append(parameters["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] == "error":
                found.append(json.dumps(parameters["args"])[:500])
        return found

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write the window, or the whole page, as PNG."""
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self, path: Path) -> None:
        """Print the page."""
        data = self.send("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)["data"]
        path.write_bytes(base64.b64decode(data))

    def _send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self._count)
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        end = time.monotonic() + 240
        while time.monotonic() < end:
            for answer in self._received():
                if answer.get("id") == number:
                    if "error" in answer:
                        raise AssertionError(f"{method}: {answer['error']}")
                    return answer["result"]
                if "method" in answer:
                    self.events.append(answer)
            time.sleep(0.005)
        raise TimeoutError(f"{method} had no answer; {Path(self._home, 'log').read_text(errors='replace')[-500:]}")

    def _received(self) -> list[dict[str, Any]]:
        while True:
            try:
                data = os.read(self._read, 1 << 20)
            except BlockingIOError:
                break
            if not data:
                break
            self._rest += data
        *whole, self._rest = self._rest.split(b"\0")
        return [json.loads(part) for part in whole]
