// One connection of a browser to the lab, for all of its tabs: a browser opens only six to a host. Runs as a shared worker, and
// hands each message of the lab to every tab.
const tabs = new Set();
let last;

const events = new EventSource("/page/events");
const tell = (message) => tabs.forEach((tab) => tab.postMessage(message));
events.onmessage = (event) => tell((last = { state: "live", event: JSON.parse(event.data) }));
events.addEventListener("alive", () => tell({ state: "alive" }));
events.onerror = () => tell({ state: "lost" });

self.onconnect = ({ ports: [tab] }) => {
  tabs.add(tab);
  tab.onmessage = ({ data }) => data === "leave" && tabs.delete(tab);
  if (last) tab.postMessage(last);
};
