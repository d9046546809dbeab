// The one stream of news for all pages of this browser: a shared worker. A browser opens few
// connections to a host, so a stream a page would leave none for the seventh. It is open while a
// page can be seen; a hidden page is told nothing, and looks by itself when it is seen again.
const seen = new Set();
let stream = null;

onconnect = ({ ports: [page] }) => {
  page.onmessage = ({ data: visible }) => {
    visible ? seen.add(page) : seen.delete(page);
    if (seen.size && !stream) open();
    else if (!seen.size) close();
  };
};

function open() {
  stream = new EventSource("/live");
  stream.onmessage = (message) => tell(JSON.parse(message.data));
  stream.onerror = () => tell(null);
}

function close() {
  stream?.close();
  stream = null;
}

function tell(news) {
  for (const page of seen) page.postMessage(news);
}
