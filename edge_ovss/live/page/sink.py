"""The page as a view of a run: frames and warnings go in, settings come out."""

from __future__ import annotations

from edge_ovss.errors import EdgeOvssError
from edge_ovss.live.page.address import PageAddress, listen
from edge_ovss.live.page.app import Page
from edge_ovss.live.page.server import WebServer, choose_token, page_urls, require_libraries
from edge_ovss.live.page.state import PageInfo
from edge_ovss.live.page.word_desk import WordDesk
from edge_ovss.live.sinks import LiveFrame, Settings


class PageSink:
    """A `Sink` that shows a run in browsers; also `Controls` and `Listens`.

    Attributes:
        urls: What to open, with the token if one is needed; to be printed once.
        page: What is served.
    """

    def __init__(self, address: PageAddress, info: PageInfo, words: WordDesk | None = None) -> None:
        """Start serving.

        Args:
            address: Where to listen.
            info: What the run is about.
            words: Where viewers change the words of an open bundle; None if they cannot.

        Raises:
            MissingDependencyError: The extra "serve" is not installed.
            InputError: The port is in use, or the host is not one of this machine.
            UsageError: The token in the environment is not one.
        """
        require_libraries()
        listener = listen(address)
        try:
            host, port = listener.getsockname()[:2]
            true = PageAddress(address.host, int(port))
            token = choose_token(true, str(host))
            self.page = Page(info, true, token, words)
        except BaseException:
            listener.close()
            raise
        self.urls = page_urls(true, str(host), token)
        self._server = WebServer(self.page.guard, listener)

    def show(self, frame: LiveFrame) -> None:
        """Take a result; it is encoded elsewhere, and only if somebody looks.

        Raises:
            EdgeOvssError: Nothing is served any more.
        """
        if not self._server.alive:
            message = "The web server of the page ended unexpectedly."
            raise EdgeOvssError(message, hint="Run without --serve, and report this.")
        self.page.show(frame)

    def settings(self) -> Settings:
        """Return what viewers ask for."""
        return self.page.dials.settings()

    def warn(self, text: str) -> None:
        """Show a warning to everybody who watches, now or later."""
        self.page.room.tell({"kind": "warning", "warning": self.page.warnings.add(text)})

    def close(self) -> None:
        """Tell the viewers that the run has ended, and stop serving."""
        self.page.room.tell({"kind": "end"})
        if self.page.words is not None:
            self.page.words.close()
        self.page.feed.close()
        self._server.close()
